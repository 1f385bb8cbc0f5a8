"""Waiting in tests: for a condition, with a deadline, never for a time."""

import time
from collections.abc import Callable

_LOOK_AGAIN_S = 0.01


def eventually(condition: Callable[[], object], *, within_s: float = 5.0, what: str = "the condition holds") -> None:
    """Return as soon as `condition` is true; fail when it is not within `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(_LOOK_AGAIN_S)
