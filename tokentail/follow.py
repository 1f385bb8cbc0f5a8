"""Following jobs: reads of their logs that may wait for something to read.

The waiting itself is a generator without I/O: it says what to read and how long to wait, and is told what came of it.
Threads and coroutines drive the same one, so that no transport has rules of its own. Every one stands on this; the
short poll is a wait of nothing. A log is shown to its owner alone: to others the job is not there.
"""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from tokentail.batch import Batch
from tokentail.cursor import BEGINNING, Cursor
from tokentail.errors import JobGone, JobNotFound, TokentailError
from tokentail.store import Store
from tokentail.wakeup import Wakeups

Result = TypeVar("Result")

_CONFIRM_S = 1.5  # Redis away is told within two seconds


# Structs, and not dataclasses as other values: each event of a stream makes some, and their constructors are cheap.
class Read(msgspec.Struct, frozen=True):
    """A step: read the log. It is answered with a Batch; JobNotFound, JobGone or StoreUnavailable may be thrown."""

    owner: str
    job_id: str
    cursor: Cursor
    limit: int


class Wait(msgspec.Struct, frozen=True):
    """A step: wait until there may be news of any of these jobs since the last read. Answered with whether to go on:
    False when the time has passed, or when nobody should wait any more. True may be wrong; then one waits again."""

    job_ids: tuple[str, ...]
    at_most_s: float


Steps = Generator[Read | Wait, Any, Result]


class Follow(msgspec.Struct, frozen=True):
    """What a reader wants of one log."""

    owner: str
    job_id: str
    cursor: Cursor
    limit: int
    with_events: bool = False


def read_or_wait(follow: Follow, wait_s: float, linger_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    """What is there as soon as it is worth an answer, or after `wait_s` whatever there is.

    With `linger_s`, gathers that much longer after the first news, unless the end is reached.
    """
    batch: Batch = yield Read(follow.owner, follow.job_id, follow.cursor, follow.limit)
    return (yield from _or_wait(follow, batch, wait_s, linger_s, clock))


def read_on(follow: Follow, last: Batch, wait_s: float, linger_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    """The same for who has read `last` and wants what comes after it, wherever `follow` began.

    If that was all there was, the wait comes first: it ends at once when there was news since that read.
    """
    follow = Follow(follow.owner, follow.job_id, last.cursor, follow.limit, follow.with_events)
    if wait_s <= 0 or last.has_more:
        return (yield from read_or_wait(follow, wait_s, linger_s, clock))
    nothing = replace(last, first=last.length, elements=(), is_reset=False)
    return (yield from _or_wait(follow, nothing, wait_s, linger_s, clock))


def _or_wait(follow: Follow, batch: Batch, wait_s: float, linger_s: float, clock: Callable[[], float]) -> Steps[Batch]:
    limit, with_events = follow.limit, follow.with_events
    is_news = batch.is_news(with_events=with_events)
    deadline = clock() + wait_s
    lingers_until = None
    while wait_s > 0 and not batch.is_done and not batch.has_more and (not is_news or len(batch.elements) < limit):
        if is_news and lingers_until is None:
            lingers_until = clock() + linger_s
            deadline = min(deadline, lingers_until)
        left_s = deadline - clock()
        if left_s <= 0 or not (yield Wait((follow.job_id,), left_s)):
            break
        kept = batch.elements if is_news else ()
        more: Batch = yield Read(follow.owner, follow.job_id, batch.cursor, max(limit - len(kept), 1))
        batch = _joined(batch, kept, more)
        if follow.cursor == BEGINNING:
            batch = replace(batch, is_reset=False)  # there is nothing to clear
        is_news = batch.is_news(with_events=with_events)
    return batch


def read_or_wait_for_any(
    follows: Sequence[Follow], wait_s: float, clock: Callable[[], float]
) -> Steps[list[Batch | JobNotFound | JobGone]]:
    """Of each log what is there, as soon as that of any is worth an answer, or after `wait_s`."""
    deadline = clock() + wait_s
    while True:
        found: list[Batch | JobNotFound | JobGone] = []
        for follow in follows:
            try:
                found.append((yield Read(follow.owner, follow.job_id, follow.cursor, follow.limit)))
            except (JobNotFound, JobGone) as error:
                found.append(error)
        is_news = any(not isinstance(f, Batch) or f.is_news(with_events=False) for f in found)
        left_s = deadline - clock()
        waits_for = tuple(follow.job_id for follow in follows)
        if is_news or left_s <= 0 or not (yield Wait(waits_for, left_s)):
            return found


def _joined(batch: Batch, kept: tuple[bytes, ...], more: Batch) -> Batch:
    """What came after `batch`, behind those of its elements that are kept; alone if the generation is another."""
    if more.is_reset:
        return more
    if not kept:
        return replace(more, is_reset=batch.is_reset) if batch.is_reset else more
    return replace(more, first=more.first - len(kept), elements=kept + more.elements, is_reset=batch.is_reset)


def shown_to(owner: str, batch: Batch) -> Batch:
    """The batch, if it is the owner's. Raises JobNotFound."""
    if batch.owner != owner:
        raise JobNotFound(JobNotFound.__doc__)
    return batch


def hidden_from(owner: str, gone: JobGone) -> JobNotFound | JobGone:
    """What a caller is told of a job that is gone: others must not even learn that it was there."""
    return gone if gone.owner == owner else JobNotFound(JobNotFound.__doc__)


def seats_among(threads: int) -> int:
    """How many of these threads may wait: never the last ones, which are for those who only ask."""
    return max(threads - 8, threads // 2)


class Seats:
    """How many threads may wait at once, in all and of one owner."""

    def __init__(self, seats: int, most_of_owner: int) -> None:
        self.free = seats
        self._most_of_owner = most_of_owner
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, owner: str) -> bool:
        """Whether there was a free seat for this owner; who took one gives it back with `leave`."""
        with self._lock:
            is_free = self.free > 0 and self._taken[owner] < self._most_of_owner
            if is_free:
                self.free -= 1
                self._taken[owner] += 1
        return is_free

    def leave(self, owner: str) -> None:
        with self._lock:
            self.free += 1
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]


class Follower:
    """Follows with threads: each that waits is one, and needs a seat. Who finds none does not wait."""

    def __init__(self, store: Store, wakeups: Wakeups, seats: Seats) -> None:
        self._store = store
        self._wakeups = wakeups
        self.seats = seats

    @property
    def is_closing(self) -> bool:
        """Nothing waits any more: the process is going."""
        return self._wakeups.is_closing

    def read(self, owner: str, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """What is there now. Raises JobNotFound (for another owner's job, too), JobGone, StoreUnavailable."""
        try:
            return shown_to(owner, self._store.read(job_id, cursor, limit))
        except JobGone as gone:
            raise hidden_from(owner, gone) from None

    def drive(self, steps: Steps[Result]) -> Result:
        """The result of these steps. Raises what they raise."""
        try:
            next(self.others(steps))
        except StopIteration as result:
            return result.value  # type: ignore[no-any-return]
        raise TypeError("These steps do more than read and wait.")

    def others(self, steps: Generator[Any, Any, Result]) -> Generator[Any, None, Result]:
        """Takes the steps that read and wait, and yields the others. Raises what they raise."""
        with ExitStack() as held:
            woken: threading.Event | None = None
            owner = ""  # whose log was read last; the steps of one reader read nobody else's
            send: Callable[[Any], Any] = steps.send
            answer: Any = None
            while True:
                try:
                    step = send(answer)
                except StopIteration as result:
                    return result.value  # type: ignore[no-any-return]
                send, answer = steps.send, None
                try:
                    if isinstance(step, Read):
                        owner = step.owner
                        answer = self.read(step.owner, step.job_id, step.cursor, step.limit)
                    elif not isinstance(step, Wait):
                        yield step
                    elif woken is not None:
                        answer = self._wait(woken, step.at_most_s)
                    elif self.is_closing or not self.seats.take(owner):
                        answer = False
                    else:
                        held.callback(self.seats.leave, owner)
                        # What came between the last read and the subscription is read again.
                        woken, answer = held.enter_context(self._wakeups.subscribed(step.job_ids, _CONFIRM_S)), True
                except TokentailError as error:
                    send, answer = steps.throw, error

    def _wait(self, woken: threading.Event, at_most_s: float) -> bool:
        is_woken = not self.is_closing and woken.wait(at_most_s)
        woken.clear()
        return is_woken and not self.is_closing
