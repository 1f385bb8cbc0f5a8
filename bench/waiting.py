"""Waiting for what another process does."""

import time
from collections.abc import Callable

_LOOK_AGAIN_S = 0.05


def wait_until(
    is_so: Callable[[], object], within_s: float, fault: Callable[[], str], look_again_s: float = _LOOK_AGAIN_S
) -> None:
    """Return when it is so. Raises RuntimeError, with these words, when it is not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(fault())
        time.sleep(look_again_s)
