"""The table: one row for each fault, of what readers and submissions went through."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tests.compose_check.load import Seen, Tally

HEAD = """\
| what | silent: median (most) | first token after, median (most) | resets | submitted: accepted, refused, lost |
| --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Row:
    """What happened during one fault."""

    title: str
    seen: list[Seen]
    tally: Tally
    lost: int

    def __str__(self) -> str:
        silent = [longest_silence_s(seen) for seen in self.seen]
        starts = [start for seen in self.seen for start in seen.starts_s]
        resets = sum(seen.resets for seen in self.seen)
        lost = self.lost + sum(seen.lost for seen in self.seen)
        counted = f"{len(self.tally.accepted)}, {self.tally.refused}, {lost}"
        return f"| {self.title} | {_both(silent)} | {_both(starts)} | {resets} | {counted} |"


def longest_silence_s(seen: Seen) -> float:
    """The longest time between two arrivals of tokens of one answer."""
    return max((later - at for (at, job), (later, next_job) in pairwise(seen.arrivals) if job == next_job), default=0.0)


def _both(seconds: list[float]) -> str:
    return f"{median(seconds):.1f} s ({max(seconds):.1f})" if seconds else "-"
