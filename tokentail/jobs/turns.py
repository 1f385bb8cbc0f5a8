"""Turns: in which order the held-out jobs of one owner will enter the queue, as it looks now. Values only.

The scripts decide whose turn it is when a job ends (`redis/lua/users.lua`). This looks ahead for those that wait, as if
the owner's jobs ended in the order in which they entered the queue.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence


def in_turn(
    held: Sequence[str], admitted: Iterable[str], users: Mapping[str, str], since: Mapping[str, float]
) -> list[str]:
    """The held jobs in the order in which they will enter the queue.

    `held` begins with the oldest job and `admitted` with the one that ends first. `users` has the user of a job, and
    `since` the time since when a user waits for its turn.
    """
    entered = deque(users.get(job_id, "") for job_id in admitted)
    admitted_of = Counter(entered)
    held_of: dict[str, deque[str]] = {}
    for job_id in held:
        held_of.setdefault(users.get(job_id, ""), deque()).append(job_id)
    waits = {user: (0, since.get(user, 0.0)) for user in held_of}
    turns = [(admitted_of[user], waits[user], user) for user in held_of]
    heapq.heapify(turns)
    order: list[str] = []
    while True:
        if entered:
            ended = entered.popleft()
            admitted_of[ended] -= 1
            if held_of.get(ended):
                heapq.heappush(turns, (admitted_of[ended], waits[ended], ended))
        # A turn counts for as long as nothing has changed for its user.
        while turns and (turns[0][:2] != (admitted_of[turns[0][2]], waits[turns[0][2]]) or not held_of[turns[0][2]]):
            heapq.heappop(turns)
        if not turns:
            return order
        user = heapq.heappop(turns)[2]
        order.append(held_of[user].popleft())
        admitted_of[user] += 1
        entered.append(user)
        waits[user] = (len(order), 0.0)
        if held_of[user]:
            heapq.heappush(turns, (admitted_of[user], waits[user], user))
