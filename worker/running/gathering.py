"""Gathering: how long a group commit rests after each round trip, so that what comes meanwhile leaves together.

A round trip costs the worker, the store and the web processes much the same for one token as for twenty. So the fuller
the core, the longer the rest; while there is room, none. It follows the load by itself.
"""

import os
import time
from collections.abc import Callable

LONGEST_S = 0.01  # that a token waits for others
_LOOK_S = 0.1  # over which the load is taken
_SCHEDULED = "/proc/thread-self/schedstat"  # nanoseconds that this thread ran, and that it waited for a core; Linux


def core_clock() -> Callable[[], float]:
    """A clock of the calling thread, in seconds: it goes while the thread runs or waits for a core.

    Where the kernel does not tell how long a thread waited for a core, it goes while the thread runs.
    """
    try:
        told = os.open(_SCHEDULED, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return time.thread_time

    def ran_or_waited_s() -> float:
        ran, waited, _ = os.pread(told, 64, 0).split()
        return (int(ran) + int(waited)) / 1e9

    return ran_or_waited_s


class Gathering:
    """Ask it after each round trip, always in the same thread."""

    def __init__(self, busy_clock: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """`busy_clock` goes while the thread has something to do: see `core_clock`."""
        self._busy_clock = busy_clock
        self._clock = clock
        self._looked_at, self._busy_then = clock(), busy_clock()
        self._rest_s = 0.0

    def rest_s(self) -> float:
        """Seconds to rest now, from 0 to LONGEST_S, by the share of time in which the core was needed.

        Up to half of it nothing is gathered, for there is room. Beyond, the rest grows with the square of the share.
        """
        now = self._clock()
        if now - self._looked_at >= _LOOK_S:
            busy = self._busy_clock()
            share = min(max((busy - self._busy_then) / (now - self._looked_at), 0.0), 1.0)
            self._rest_s = LONGEST_S * max(2 * share - 1, 0.0) ** 2
            self._looked_at, self._busy_then = now, busy
        return self._rest_s
