"""The work of a parser in bytes of memory: what it holds, and what each piece takes. No clock is read."""

import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass
class Work:
    """Bytes of memory, beyond those that were in use before."""

    held: int = 0  # at the end
    peak: int = 0  # at the worst moment
    taken: int = 0  # by all pieces together: a copy of what is held, made for each piece, shows here


def work_of(feed: Callable[[bytes], object], pieces: Iterable[bytes], ending: type[Exception] | None = None) -> Work:
    """Feed the pieces, up to the expected `ending` if there is one; results are dropped at once."""
    work = Work()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for piece in pieces:
            tracemalloc.reset_peak()
            at_first, _ = tracemalloc.get_traced_memory()
            try:
                feed(piece)
            except Exception as error:
                if ending is None or not isinstance(error, ending):
                    raise
                return work
            finally:
                now, peak = tracemalloc.get_traced_memory()
                work.held, work.peak = now - before, max(work.peak, peak - before)
                work.taken += peak - at_first
    finally:
        tracemalloc.stop()
    assert ending is None, f"{ending} was never raised"
    return work
