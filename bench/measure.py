"""The measure: one figure of ours beside one limit, run by run, and what is said of both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """`ours[i]` and `limit[i]` were measured one right after the other. Without a limit it is a fact beside others."""

    name: str
    unit: str
    ours: list[float]
    limit: list[float] = field(default_factory=list)
    limit_name: str = ""
    compared_by: Literal["ratio", "difference"] = "ratio"  # of ours to the limit; a latency's is what we add

    @property
    def key(self) -> str:
        """What makes it the same measure in another run."""
        return f"{self.name} | {self.limit_name}"

    @property
    def beside(self) -> list[float]:
        """Ours beside the limit, pair by pair."""
        pairs = zip(self.ours, self.limit, strict=True)
        return [a / b if self.compared_by == "ratio" else a - b for a, b in pairs] if self.limit else []


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the most of several runs."""

    least: float
    middle: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value."""
    return Spread(min(values), median(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]
