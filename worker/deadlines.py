"""The deadlines of one attempt: to the first token, between tokens, and as a whole. Pings do not count as tokens."""

import math
import time
from collections.abc import Callable

import gevent
from msgspec import UNSET, UnsetType

from tokentail.job import Failure, FailureKind
from tokentail.request import Timeouts
from tokentail.settings import Settings


class DeadlinePassed(BaseException):
    """The provider took too long. It is not called again: the time for that is gone.

    Not an Exception, nor the provider's failure: nothing on the way may swallow it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(FailureKind.TIMEOUT, message, is_retryable=True)


class Deadlines:
    """Interrupts its attempt when a deadline passes. One timer, armed anew when it fires or would fire too late."""

    def __init__(self, settings: Settings, asked: Timeouts, interrupt: Callable[[BaseException], None]) -> None:
        """The shorter of what the deployment allows and the job `asked` for."""
        self._first_s = _shorter(settings.first_token_timeout_s, asked.first_token_s)  # connecting included
        self._idle_s = _shorter(settings.idle_timeout_s, asked.idle_s)
        self._last = time.monotonic() + _shorter(settings.job_timeout_s, asked.total_s)
        self._interrupt = interrupt
        self._due = self._armed_for = math.inf
        self._waits_for = ""
        self._timer = gevent.get_hub().loop.timer(0)
        self.call_began()

    @property
    def left_s(self) -> float:
        """What the attempt has left as a whole."""
        return self._last - time.monotonic()

    def call_began(self) -> None:
        """The provider is called: the wait for the first token begins."""
        self._wait(self._first_s, "the first token")

    def token_came(self) -> None:
        """Content came: the wait for the next begins."""
        self._wait(self._idle_s, "the next token")

    def pause(self) -> None:
        """Nothing is awaited of the provider, until one of the others is called; only the whole goes on."""
        self._due = math.inf

    def close(self) -> None:
        """No deadline any more."""
        self._timer.stop()
        self._timer.close()

    def _wait(self, wait_s: float, waits_for: str) -> None:
        self._due = time.monotonic() + wait_s
        self._waits_for = waits_for
        if min(self._due, self._last) < self._armed_for:
            self._arm()

    def _arm(self) -> None:
        self._armed_for = min(self._due, self._last)
        self._timer.stop()
        self._timer = gevent.get_hub().loop.timer(max(self._armed_for - time.monotonic(), 0.001))
        self._timer.start(self._fire)

    def _fire(self) -> None:
        now = time.monotonic()
        if now >= self._last:
            self._expire("The job took longer than it may.")
        elif now >= self._due:
            self._expire(f"The provider took too long for {self._waits_for}.")
        else:
            self._arm()

    def _expire(self, message: str) -> None:
        self._armed_for = math.inf
        self._interrupt(DeadlinePassed(message))


def _shorter(allowed_s: float, asked_s: float | UnsetType) -> float:
    return allowed_s if asked_s is UNSET else min(allowed_s, asked_s)
