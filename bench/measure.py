"""The measure: one figure of ours beside one limit, run by run, and what is said of both."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, TypeVar

Name = TypeVar("Name")
Run = TypeVar("Run")
Comparison = Literal["ratio", "difference"]
Reading = float | None  # a reading that is missing is None, or NaN


def numbers(values: Sequence[Reading]) -> list[float]:
    """The readings that are finite numbers."""
    return [value for value in values if value is not None and math.isfinite(value)]


def ratio(a: Reading, b: Reading) -> float:
    """a / b; NaN when a reading is missing, or b is 0."""
    known = numbers([a, b])
    return known[0] / known[1] if len(known) == 2 and known[1] else math.nan


def difference(a: Reading, b: Reading) -> float:
    """a - b; NaN when a reading is missing."""
    known = numbers([a, b])
    return known[0] - known[1] if len(known) == 2 else math.nan


@dataclass(frozen=True)
class Measure:
    """`ours[i]` and `limit[i]` were measured one right after the other. Without a limit it is a fact beside others."""

    name: str
    unit: str
    ours: list[float]
    limit: list[float] = field(default_factory=list)
    limit_name: str = ""
    compared_by: Comparison = "ratio"  # of ours to the limit; a latency's is what we add

    def __post_init__(self) -> None:
        if self.limit and len(self.limit) != len(self.ours):
            raise ValueError(f"{self.name}: one half is shorter than the other")

    @property
    def key(self) -> str:
        """What makes it the same measure in another run."""
        return f"{self.name} | {self.limit_name}"

    @property
    def beside(self) -> list[float]:
        """Ours beside the limit, pair by pair; NaN for a pair that has no ratio."""
        if not self.limit:
            return []
        compare = ratio if self.compared_by == "ratio" else difference
        return [compare(a, b) for a, b in zip(self.ours, self.limit, strict=True)]


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the most of several runs."""

    least: float
    middle: float
    most: float


def spread(values: Sequence[Reading]) -> Spread:
    """The spread of the readings that are numbers; all NaN where none is."""
    known = numbers(values) or [math.nan]
    return Spread(min(known), median(known), max(known))


def percentile(values: Sequence[Reading], percent: float) -> float:
    """The smallest number that at least `percent` of all numbers do not exceed (nearest rank); NaN of none."""
    ordered = sorted(numbers(values)) or [math.nan]
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def measured(
    name: str,
    unit: str,
    of: Callable[[Any], float],
    ours: Iterable[Any],
    limit: Iterable[Any] = (),
    limit_name: str = "",
    compared_by: Comparison = "ratio",
) -> Measure:
    """The measure of one figure `of` each run, of ours and of the limit's."""
    return Measure(name, unit, [of(run) for run in ours], [of(run) for run in limit], limit_name, compared_by)


def per(counted: str, each: str, times: float = 1.0) -> Callable[[Any], float]:
    """What finds `counted` for `each`, so many times, in a run that has both."""
    return lambda run: times * ratio(run[counted], run[each])


def latency_ms(percent: float) -> Callable[[Any], float]:
    """What finds this percentile in a run with `latencies_ns`."""
    return lambda run: percentile(run["latencies_ns"], percent) / 1e6


def latencies(
    name: str,
    ours: Iterable[Any],
    limit: Iterable[Any] = (),
    limit_name: str = "",
    compared_by: Comparison = "difference",
) -> Iterator[Measure]:
    """The measures of p50 and p99, in ms, of runs with `latencies_ns`."""
    for percent in (50, 99):
        yield measured(f"{name}, p{percent}", "ms", latency_ms(percent), ours, limit, limit_name, compared_by)


def take_turns(names: Iterable[Name], rounds: int, run: Callable[[Name], Run]) -> dict[Name, list[Run]]:
    """The runs of each, of which every round has one; the order of the names turns with each round."""
    found: dict[Name, list[Run]] = {name: [] for name in names}
    for i in range(rounds):
        for name in list(found)[:: -1 if i % 2 else 1]:
            found[name].append(run(name))
    return found
