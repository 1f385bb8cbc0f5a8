"""The parked polls: long polls that wait for a tail in memory, without a task each.

A scope, a cycle and a coroutine of ASGI are most of what a waiting poll would cost, in memory and in time. A parked
poll is a single object among the tail's waiters, and `quick_polls.py` makes its response. Where the tail is stale or
dropped, the request goes the long way, over ASGI, for the time that is left.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Protocol

from app.reading.hub import Hub
from app.reading.tails import FollowedJob
from app.serving.quick_polls import Admission, Pending, QuickPolls

_TICK_S = 0.1  # a poll whose time is over is answered so much later, at most
_WOKEN_AT_ONCE = 200  # then other connections have a turn
_WAIT = re.compile(rb"(?<=[?&])wait=[^&]*")


class Connection(Protocol):
    """The connection on which a parked poll came."""

    def answer_parked(self, response: bytes, waited_s: float) -> None:
        """Send what follows `QuickPolls.beginning`."""

    def go_the_long_way(self, url: bytes) -> None:
        """Have the request, with this for its URL, answered over ASGI."""


class ParkedPoll:
    """A waiting poll. Among a tail's waiters it passes for a future."""

    __slots__ = (
        "admission",
        "began",
        "connection",
        "ends_at",
        "is_over",
        "job",
        "linger_timer",
        "parked_at",
        "polls",
        "url",
    )

    def __init__(
        self, polls: "ParkedPolls", connection: Connection, pending: Pending, admission: Admission, now: float
    ) -> None:
        self.polls = polls
        self.connection = connection
        self.url = pending.url
        self.job: FollowedJob = pending.job
        self.admission = admission
        self.began = pending.began
        self.parked_at = now
        self.ends_at = 0  # the number of a tick
        self.linger_timer: asyncio.TimerHandle | None = None
        self.is_over = False

    def done(self) -> bool:
        """Whether the poll has stopped waiting."""
        return self.is_over

    def set_result(self, _is_news: bool) -> None:
        """Have the poll look for news."""
        self.polls.wake(self)


class ParkedPolls:
    """All parked polls of one process."""

    def __init__(self, quick_polls: QuickPolls, hub: Hub, clock: Callable[[], float]) -> None:
        self._quick_polls = quick_polls
        self._hub = hub
        self._clock = clock
        self._ending: dict[int, set[ParkedPoll]] = {}  # tick → polls whose time is over then
        self._next_tick = 0
        self._is_ticking = False
        self._woken: deque[ParkedPoll] = deque()

    def park(self, connection: Connection, pending: Pending, admission: Admission) -> ParkedPoll | None:
        """Have this poll wait; None when the process stops, or when too many of its owner's polls wait already."""
        if admission.caller is None or self._hub.is_closing or self._hub.is_full(admission.caller.owner):
            return None
        now = self._clock()
        poll = ParkedPoll(self, connection, pending, admission, now)
        poll.ends_at = int((now + pending.wait_s) / _TICK_S) + 1
        self._ending.setdefault(poll.ends_at, set()).add(poll)
        self._hub.enter(admission.caller.owner)
        self._wait_on(poll, pending)
        if not self._is_ticking:
            self._is_ticking = True
            self._next_tick = int(now / _TICK_S)
            self._tick()
        return poll

    def leave(self, poll: ParkedPoll) -> float:
        """Stop the waiting of this poll, which gets no response here. Returns for how many seconds it has waited."""
        now = self._clock()
        poll.is_over = True
        poll.job.waiters.discard(poll)
        poll.job.read_at = now
        if poll.linger_timer is not None:
            poll.linger_timer.cancel()
        if (ending := self._ending.get(poll.ends_at)) is not None:
            ending.discard(poll)
        if poll.admission.caller is not None:
            self._hub.leave(poll.admission.caller.owner)
        return now - poll.parked_at

    def wake(self, poll: ParkedPoll) -> None:
        """Look soon whether this poll can be answered."""
        if not self._woken:
            asyncio.get_running_loop().call_soon(self._look_at_woken)
        self._woken.append(poll)

    def end(self, poll: ParkedPoll) -> bool:
        """Answer this poll now, with or without news; False when only the long way can answer it."""
        response = self._quick_polls.look(poll.url, poll.admission, poll.began)
        waited_s = self.leave(poll)
        if not isinstance(response, bytes):
            return False
        poll.connection.answer_parked(response, waited_s)
        return True

    def _wait_on(self, poll: ParkedPoll, pending: Pending) -> None:
        poll.url, poll.job = pending.url, pending.job
        poll.job.waiters.add(poll)
        if pending.linger_s is not None and poll.linger_timer is None:
            loop = asyncio.get_running_loop()
            poll.linger_timer = loop.call_later(pending.linger_s, self.end_somehow, poll)

    def _look_at_woken(self) -> None:
        for _ in range(min(len(self._woken), _WOKEN_AT_ONCE)):
            poll = self._woken.popleft()
            if not poll.is_over:
                self._look(poll)
        if self._woken:
            asyncio.get_running_loop().call_soon(self._look_at_woken)

    def _look(self, poll: ParkedPoll) -> None:
        found = self._quick_polls.look(poll.url, poll.admission)
        if isinstance(found, bytes):
            poll.connection.answer_parked(found, self.leave(poll))
        elif found is not None and not self._hub.is_closing:
            self._wait_on(poll, found)
        else:
            self.end_somehow(poll)

    def end_somehow(self, poll: ParkedPoll) -> None:
        """Answer this poll; over ASGI, and with the time that is left, where its tail has no answer."""
        if self.end(poll):
            return
        left_s = max(int(poll.ends_at * _TICK_S - self._clock()), 0)
        poll.connection.go_the_long_way(_WAIT.sub(b"wait=%d" % left_s, poll.url))

    def _tick(self) -> None:
        now_tick = int(self._clock() / _TICK_S)
        while self._next_tick <= now_tick:
            for poll in self._ending.pop(self._next_tick, ()):
                if not poll.is_over:
                    self.end_somehow(poll)
            self._next_tick += 1
        self._is_ticking = bool(self._ending)
        if self._is_ticking:
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)
