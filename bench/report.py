"""The report: measures as a table, as JSON, and beside an earlier report."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.measure import Measure, Reading, numbers, ratio, spread


@dataclass(frozen=True)
class Report:
    """What one run of the benchmarks found, on which machine."""

    machine: dict[str, str]
    measures: list[Measure]
    failures: dict[str, str] = field(default_factory=dict)  # part → why it has not all of its figures

    def write(self, path: Path) -> None:
        """Keep it as JSON. A file of an earlier report is replaced by the whole of this one, or stays as it is."""
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(_rounded(asdict(self)), indent=1, allow_nan=False) + "\n")
        os.replace(new, path)

    def table(self) -> str:
        """A line a measure: min / median / max of ours, of its limit, and of both beside each other, pair by pair."""
        rows = [("", "unit", "ours: min / median / max", "limit: min / median / max", "beside it", "limit")]
        failures = [f"{part} failed: {why}" for part, why in self.failures.items()]
        return "\n".join([_aligned([*rows, *map(_row, self.measures)]), *failures])

    def table_against(self, baseline: "Report") -> str:
        """A line for each measure that both have.

        Where there is a limit, only a change beside it is distinguished from noise: a faster machine makes both faster.
        """
        earlier = {m.key: m for m in baseline.measures}
        rows = [("", "unit", "baseline", "now", "change", "beside the limit: baseline", "now", "")]
        for m in self.measures:
            if (old := earlier.get(m.key)) is None:
                continue
            before, after = spread(old.ours), spread(m.ours)
            change = _change(ratio(after.middle, before.middle))
            verdict = "outside the baseline's spread" if _is_apart(old, m) else ""
            rows.append(
                (
                    m.name,
                    m.unit,
                    _number(before.middle),
                    _number(after.middle),
                    change,
                    _beside(old),
                    _beside(m),
                    verdict,
                )
            )
        return _aligned(rows)


def read_report(path: Path) -> Report:
    """A report that was written. Raises OSError, ValueError."""
    kept = json.loads(path.read_text())
    return Report(kept["machine"], [Measure(**measure) for measure in kept["measures"]], kept.get("failures", {}))


def line(measure: Measure) -> str:
    """The measure in one line, as it is printed when it comes."""
    return "  ".join(cell for cell in _row(measure) if cell)


def _row(m: Measure) -> tuple[str, ...]:
    return m.name, m.unit, _spread(m.ours), _spread(m.limit) if m.limit else "", _beside(m), m.limit_name


def _change(times: float) -> str:
    return f"{100 * (times - 1):+.0f} %" if math.isfinite(times) else ""


def _is_apart(old: Measure, new: Measure) -> bool:
    """Whether the runs of one do not overlap those of the other; a single run has no spread to judge by."""
    compared = [numbers(m.beside if m.limit else m.ours) for m in (old, new)]
    if min(map(len, compared)) < 2:
        return False
    before, after = map(spread, compared)
    return after.most < before.least or after.least > before.most


def _beside(m: Measure) -> str:
    if not m.limit:
        return ""
    return _spread(m.beside) + (" x" if m.compared_by == "ratio" else f" {m.unit} more")


def _spread(values: Sequence[Reading]) -> str:
    if not numbers(values):
        return "unknown"
    s = spread(values)
    return f"{_number(s.least)} / {_number(s.middle)} / {_number(s.most)}"


def _number(value: float) -> str:
    """Three significant digits, and no fraction from a hundred up."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    lines = [*rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _rounded(value: object) -> object:
    """Floats to five significant digits: more would be noise that every new baseline changes."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None  # JSON has no NaN
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value
