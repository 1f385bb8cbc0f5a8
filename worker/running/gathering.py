"""Gathering: how long a worker's event loop rests between its turns, so that what comes meanwhile is done in one turn.

A turn, the commit at its end, and what the commit wakes in the store and in the web processes cost much the same for
one token as for twenty. So the more of its core the worker needs, the further its turns are apart; while there is room,
it never rests. It follows the load by itself.
"""

import os
import time
import weakref
from collections.abc import Callable, Sized

LONGEST_S = 0.005  # that a token waits for others
_ROOM = 0.6  # of a core, up to which nothing is gathered
_LEAST_REST_S = 0.0001  # a shorter one costs more than it saves
_LOOK_S = 0.5  # over which the load is taken
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

    weakref.finalize(ran_or_waited_s, os.close, told)
    return ran_or_waited_s


class Gathering:
    """Ask it whenever the loop has nothing left to do, always in the loop's thread."""

    def __init__(
        self, busy_clock: Callable[[], float], urgent: Sized = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`busy_clock` goes while the thread has something to do: see `core_clock`. With something in `urgent`, the
        loop does not rest.
        """
        self._busy_clock = busy_clock
        self._urgent = urgent
        self._clock = clock
        self._turn_at = self._looked_at = clock()
        self._busy_then = busy_clock()
        self._turn_s = 0.0

    def rest_s(self) -> float:
        """Seconds to rest now, from 0 to LONGEST_S: what is left of the time that the turn has, by the load."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_S:
            busy = self._busy_clock()
            share = min(max((busy - self._busy_then) / (now - self._looked_at), 0.0), 1.0)
            self._turn_s = LONGEST_S * max(share - _ROOM, 0.0) / (1 - _ROOM)
            self._looked_at, self._busy_then = now, busy
        rest_s = min(self._turn_at + self._turn_s - now, LONGEST_S)
        if rest_s < _LEAST_REST_S or self._urgent:
            rest_s = 0.0
        self._turn_at = now + rest_s
        return rest_s
