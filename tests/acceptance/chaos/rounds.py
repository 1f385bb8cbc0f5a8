"""The rounds of a campaign of faults, and the lines by which it tells how it goes."""

import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

Kind = TypeVar("Kind")


def rounds(faults: Sequence[Kind], random: Random, until: float) -> Iterator[Kind]:
    """Every fault in turn, shuffled anew each time, up to this moment of the monotonic clock."""
    while time.monotonic() < until:
        for fault in random.sample(faults, len(faults)):
            if time.monotonic() >= until:
                return
            yield fault


def tell(line: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
