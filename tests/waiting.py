"""Waiting in tests: for a condition, with a deadline, never for a time."""

import time
from collections.abc import Callable

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.05  # between two looks: many ask another process, which costs it time


def eventually(condition: Callable[[], object], *, within_s: float = 5.0, what: str = "the condition holds") -> None:
    """Return as soon as `condition` is true; fail when it is not within `within_s`."""
    deadline = time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, _LONGEST_PAUSE_S)
