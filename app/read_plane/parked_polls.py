"""The parked polls: long polls that wait for a tail in memory, without a task each.

A scope, a cycle and a coroutine of ASGI are most of what a waiting poll would cost, in memory and in time. One that can
be answered by looking (`quick_polls.py`) is a single object among the tail's waiters. Where looking is not enough, for
the tail is stale or gone, its request goes the long way after all, for the time that is left.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Protocol

from app.access import Caller
from app.read_plane.driver import Driver
from app.read_plane.quick_polls import QuickPolls
from app.read_plane.tails import FollowedJob, Tails

_TICK_S = 0.1  # whoever waited in vain is told so much later, at most
_WOKEN_AT_ONCE = 200  # then others have a turn
_WAIT = re.compile(rb"&wait=[0-9]+$")


class Connection(Protocol):
    """Whose poll it is."""

    def answer_parked(self, answer: bytes, waited_s: float) -> None:
        """Send what follows `QuickPolls.beginning`."""

    def go_the_long_way(self, url: bytes) -> None:
        """Have the request, with this for its URL, answered over ASGI."""


class ParkedPoll:
    """One that waits. Among a tail's waiters it passes for a future."""

    __slots__ = ("began", "caller", "connection", "ends_at", "is_over", "job", "url", "waiting")

    def __init__(
        self, waiting: "ParkedPolls", connection: Connection, url: bytes, caller: Caller, job: FollowedJob, began: float
    ) -> None:
        self.waiting = waiting
        self.connection = connection
        self.url = url
        self.caller = caller
        self.job = job
        self.began = began
        self.ends_at = 0  # which tick
        self.is_over = False

    def done(self) -> bool:
        """Whether it waits no more."""
        return self.is_over

    def set_result(self, _is_news: bool) -> None:
        """There may be news."""
        self.waiting.wake(self)


class ParkedPolls:
    """Those of one process."""

    def __init__(self, quick_polls: QuickPolls, tails: Tails, driver: Driver, clock: Callable[[], float]) -> None:
        self._quick_polls = quick_polls
        self._tails = tails
        self._driver = driver
        self._clock = clock
        self._ending: dict[int, set[ParkedPoll]] = {}  # tick → whose time is over then
        self._next_tick = 0
        self._is_ticking = False
        self._woken: deque[ParkedPoll] = deque()

    def park(self, connection: Connection, url: bytes, caller: Caller) -> ParkedPoll | None:
        """Have this poll wait; None when it is none that may wait here."""
        if self._tails.is_closing or self._driver.is_full(caller.owner):
            return None
        if (found := self._quick_polls.waits_for(url, caller)) is None:
            return None
        job, wait_s = found
        now = self._clock()
        poll = ParkedPoll(self, connection, url, caller, job, now)
        poll.ends_at = int((now + wait_s) / _TICK_S) + 1
        self._ending.setdefault(poll.ends_at, set()).add(poll)
        job.waiters.add(poll)
        self._driver.enter(caller.owner)
        if not self._is_ticking:
            self._is_ticking = True
            self._next_tick = int(now / _TICK_S)
            self._tick()
        return poll

    def leave(self, poll: ParkedPoll) -> float:
        """It waits no more, and is not answered; for how many seconds it has waited."""
        now = self._clock()
        poll.is_over = True
        poll.job.waiters.discard(poll)
        poll.job.read_at = now
        if (ending := self._ending.get(poll.ends_at)) is not None:
            ending.discard(poll)
        self._driver.leave(poll.caller.owner)
        return now - poll.began

    def wake(self, poll: ParkedPoll) -> None:
        """Look soon whether it can be answered."""
        if not self._woken:
            asyncio.get_running_loop().call_soon(self._look_at_woken)
        self._woken.append(poll)

    def end(self, poll: ParkedPoll) -> bool:
        """Answer it now, whatever there is; False when that takes more than looking."""
        answer = self._quick_polls.answer(poll.url, poll.caller)
        if answer is None:
            answer = self._quick_polls.waited(poll.url, poll.caller, poll.began)
        waited_s = self.leave(poll)
        if answer is not None:
            poll.connection.answer_parked(answer, waited_s)
        return answer is not None

    def _look_at_woken(self) -> None:
        for _ in range(min(len(self._woken), _WOKEN_AT_ONCE)):
            poll = self._woken.popleft()
            if not poll.is_over:
                self._look(poll)
        if self._woken:
            asyncio.get_running_loop().call_soon(self._look_at_woken)

    def _look(self, poll: ParkedPoll) -> None:
        answer = self._quick_polls.answer(poll.url, poll.caller)
        if answer is not None:
            poll.connection.answer_parked(answer, self.leave(poll))
        elif not self._tails.is_closing and poll.job.tail.is_live and self._tails.is_followed(poll.job):
            poll.job.waiters.add(poll)  # an event that it does not ask for
        else:
            self._end_somehow(poll)

    def _end_somehow(self, poll: ParkedPoll) -> None:
        """Where the tail cannot tell, Redis is asked, and waited for with what is left of the time."""
        if self.end(poll):
            return
        left_s = max(int(poll.ends_at * _TICK_S - self._clock()), 0)
        poll.connection.go_the_long_way(_WAIT.sub(b"&wait=%d" % left_s if left_s else b"", poll.url))

    def _tick(self) -> None:
        now_tick = int(self._clock() / _TICK_S)
        while self._next_tick <= now_tick:
            for poll in self._ending.pop(self._next_tick, ()):
                if not poll.is_over:
                    self._end_somehow(poll)
            self._next_tick += 1
        self._is_ticking = bool(self._ending)
        if self._is_ticking:
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)
