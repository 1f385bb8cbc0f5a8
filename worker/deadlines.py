"""The deadlines of one attempt: to the first token, between tokens, and as a whole. Pings do not count as tokens."""

import time
from collections.abc import Callable

import gevent

from tokentail.job import Failure, FailureKind
from tokentail.settings import Settings
from worker.chunk import ProviderFailure


class Deadlines:
    """Interrupts its attempt when a deadline passes. One timer, armed anew when it fires or would fire too late."""

    def __init__(self, settings: Settings, interrupt: Callable[[BaseException], None]) -> None:
        self._idle_s = settings.idle_timeout_s
        self._interrupt = interrupt
        now = time.monotonic()
        self._last = now + settings.job_timeout_s
        self._due = now + settings.connect_timeout_s + settings.first_token_timeout_s
        self._waits_for = "the first token"
        self._armed_for = self._due
        self._timer = gevent.get_hub().loop.timer(0)
        self._arm()

    def token_came(self) -> None:
        """Content came: the wait for the next begins."""
        self._due = time.monotonic() + self._idle_s
        self._waits_for = "the next token"
        if self._due < self._armed_for:
            self._arm()

    def store_is_slow(self) -> None:
        """We stopped reading, so the silence is ours until `token_came`."""
        self._due = self._last

    def close(self) -> None:
        """No deadline any more."""
        self._timer.stop()
        self._timer.close()

    def _arm(self) -> None:
        self._armed_for = min(self._due, self._last)
        self._timer.stop()
        self._timer = gevent.get_hub().loop.timer(max(self._armed_for - time.monotonic(), 0.001))
        self._timer.start(self._fire)

    def _fire(self) -> None:
        now = time.monotonic()
        if now >= self._last:
            self._expire("The job took longer than this deployment allows.")
        elif now >= self._due:
            self._expire(f"The provider took too long for {self._waits_for}.")
        else:
            self._arm()

    def _expire(self, message: str) -> None:
        self._interrupt(ProviderFailure(Failure(FailureKind.TIMEOUT, message, is_retryable=True)))
