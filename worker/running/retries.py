"""Retries: whether a provider that failed is called again, and when. Pure.

Bounded in number, with a backoff that is spread at random so that many jobs do not come back at once, and never
earlier than the provider asked for. A kept answer that is gone is no failed call: a new one is asked for at once.
"""

import random
from collections.abc import Callable

from worker.chunk import AnswerGoesOn, PositionLost, ProviderFailure

_FIRST_S = 0.5
_LONGEST_S = 20.0
_AFTER_SILENCE_S = 1.0


class Retries:
    """What one attempt may still try."""

    def __init__(self, most: int, spread: Callable[[], float] = random.random) -> None:
        """`spread` gives numbers from 0 to 1."""
        self._left = most
        self._spread = spread
        self._backoff_s = _FIRST_S
        self._silent_at: str | None = None
        self.is_stored = False  # whether the next call asks for the stored answer, and not for its stream
        self._may_lose_position = True  # once after each call that counts, so that this is bounded, too

    def delay_s(self, failure: ProviderFailure, left_s: float, *, is_kept: bool = False) -> float | None:
        """Seconds to wait before the next call; None when there is to be none, which then is the job's failure.

        `left_s` is what the job has left: a provider that asks for more is not waited for. An answer that goes on in
        another call gives 0, and so does a lost position, unless the call before was made for the same reason: the next
        call is no retry. Where no retry is left, an answer that `is_kept` at the provider is asked for as it is stored.
        """
        if isinstance(failure, AnswerGoesOn):
            return 0.0
        if self._may_lose_position and isinstance(failure, PositionLost):
            self._may_lose_position = self.is_stored = False
            return 0.0
        if failure.is_final or not failure.failure.is_retryable:
            return None
        # From three to five quarters: spread, and yet each wait is longer than the one before.
        delay_s = max(self._backoff_s * (0.75 + self._spread() / 2), failure.retry_after_s or 0.0)
        if self._left == 0 or delay_s >= left_s:
            if not is_kept or self.is_stored:
                return None
            self.is_stored = True
            return self._backoff_s
        self._left -= 1
        self._may_lose_position = True
        self._backoff_s = min(self._backoff_s * 2, _LONGEST_S)
        return delay_s

    def delay_after_silence_s(self, position: str) -> float:
        """Seconds to wait before an answer that is kept, and of which nothing came for too long, is asked for.

        Its stream is taken up again. If that brought nothing, so that the position is the same, it is left for good.
        """
        self.is_stored = self.is_stored or position == self._silent_at
        self._silent_at = position
        return _AFTER_SILENCE_S
