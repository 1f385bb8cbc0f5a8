"""Retries: whether a provider that failed is called again, and when. Pure.

Bounded in number, with a backoff that is spread at random so that many jobs do not come back at once, and never
earlier than the provider asked for.
"""

import random
from collections.abc import Callable

from worker.chunk import ProviderFailure

_FIRST_S = 0.5
_LONGEST_S = 20.0


class Retries:
    """What one attempt may still try."""

    def __init__(self, most: int, spread: Callable[[], float] = random.random) -> None:
        """`spread` gives numbers from 0 to 1."""
        self._left = most
        self._spread = spread
        self._backoff_s = _FIRST_S

    def delay_s(self, failure: ProviderFailure, left_s: float) -> float | None:
        """Seconds to wait before the next call; None when there is to be none, which then is the job's failure.

        `left_s` is what the job has left: a provider that asks for more is not waited for.
        """
        if self._left == 0 or not failure.failure.is_retryable:
            return None
        # From three to five quarters: spread, and yet each wait is longer than the one before.
        delay_s = max(self._backoff_s * (0.75 + self._spread() / 2), failure.retry_after_s or 0.0)
        if delay_s >= left_s:
            return None
        self._left -= 1
        self._backoff_s = min(self._backoff_s * 2, _LONGEST_S)
        return delay_s
