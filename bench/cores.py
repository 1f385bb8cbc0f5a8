"""The cores: load and server do not take turns on one, where there are two. Linux only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """The cores on which servers and clients run."""

    server: int
    load: int  # the load, and whatever else there is


def two_cores() -> Cores:
    """The first and the last core that this process may use; they are one where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[0], cores[-1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this process, and each process started within the block with all its threads, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
