"""The deadlines of one attempt: for a provider's silence, for signs of life without content, and for the whole.

Whatever the provider sends is a sign of life and ends a silence: a ping, a comment, an event of progress. Only content
ends the wait for content. Before the first content a silence may be longer, because a model may think without a word.
"""

import math
import time
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from tokentail.config.settings import Settings
from tokentail.jobs.job import Failure, FailureKind
from tokentail.jobs.request import DEFAULT_TIMEOUTS, Timeouts
from worker.running.event_loop import new_timer
from worker.upstream.seams import Silence


class DeadlinePassed(Silence):
    """The provider took too long. It is not called again: the time for that is gone.

    `is_of_whole`: nothing is left of
    the time that the attempt has as a whole.
    """

    def __init__(self, message: str, *, is_of_whole: bool = False) -> None:
        super().__init__(message)
        self.failure = Failure(FailureKind.TIMEOUT, message, is_retryable=True)
        self.is_of_whole = is_of_whole


class Deadlines:
    """Interrupts its attempt when a deadline passes. One timer, armed anew when it fires or would fire too late."""

    def __init__(
        self,
        settings: Settings,
        asked: Timeouts,
        interrupt: Callable[[BaseException], None],
        of_model: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """What the job `asked` for within the deployment's bound, else those of its model, else the deployment's."""

        def seconds(default_s: float, model_s: float | UnsetType, asked_s: float | UnsetType) -> float:
            allowed_s = default_s if model_s is UNSET else model_s
            return allowed_s if asked_s is UNSET else min(asked_s, max(allowed_s, settings.max_timeout_s))

        self._first_s = seconds(settings.first_token_timeout_s, of_model.first_token_s, asked.first_token_s)
        self._idle_s = seconds(settings.idle_timeout_s, of_model.idle_s, asked.idle_s)
        self._content_s = seconds(settings.content_timeout_s, of_model.content_s, asked.content_s)
        self._last = time.monotonic() + seconds(settings.job_timeout_s, of_model.total_s, asked.total_s)
        self._interrupt = interrupt
        self._armed_for = math.inf
        self._timer = new_timer(0)
        self.call_began()

    @property
    def left_s(self) -> float:
        """What the attempt has left as a whole."""
        return self._last - time.monotonic()

    def call_began(self) -> None:
        """The provider is called, connecting included: the wait for the first token begins."""
        self._wait(self._first_s, "the first token")

    def content_came(self) -> None:
        """Content came: the wait for the next begins."""
        self._wait(self._idle_s, "the next token")

    def sign_of_life_came(self) -> None:
        """The provider works, and has nothing to show yet: its silence is over, the wait for content is not."""
        self._silent_from = time.monotonic()

    def pause(self) -> None:
        """Nothing is awaited of the provider, until one of the others is called; only the whole goes on."""
        self._silent_from = self._shown_from = math.inf

    def close(self) -> None:
        """No deadline any more."""
        self._timer.stop()
        self._timer.close()

    def _wait(self, silence_s: float, waits_for: str) -> None:
        self._silent_from = self._shown_from = time.monotonic()
        self._silence_s = silence_s
        self._waits_for = waits_for
        if self._due < self._armed_for:
            self._arm()

    @property
    def _due(self) -> float:
        return min(self._silent_from + self._silence_s, self._shown_from + self._content_s, self._last)

    def _arm(self) -> None:
        self._armed_for = self._due
        self._timer.stop()
        self._timer = new_timer(max(self._armed_for - time.monotonic(), 0.001))
        self._timer.start(self._fire)

    def _fire(self) -> None:
        now = time.monotonic()
        if now >= self._last:
            self._expire("The job took longer than it may.", is_of_whole=True)
        elif now >= self._silent_from + self._silence_s:
            self._expire(f"The provider took too long for {self._waits_for}.")
        elif now >= self._shown_from + self._content_s:
            self._expire(f"The provider gave signs of life, but took too long for {self._waits_for}.")
        else:
            self._arm()

    def _expire(self, message: str, *, is_of_whole: bool = False) -> None:
        self._armed_for = math.inf
        self._interrupt(DeadlinePassed(message, is_of_whole=is_of_whole))
