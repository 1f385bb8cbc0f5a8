"""Measures and reports: figures are compared pair by pair, and survive being kept."""

import json
import math
from pathlib import Path
from typing import Literal, cast

import pytest

from bench.measure import Measure, percentile, spread
from bench.report import Report, read_report


def test_a_percentile_is_one_of_the_values() -> None:
    """The nearest rank: no value is made up between two that were measured."""
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, percent) for percent in (1, 20, 21, 50, 99, 100)] == [1.0, 1.0, 2.0, 3.0, 5.0, 5.0]


def test_ours_is_compared_with_the_limit_of_its_own_pair() -> None:
    """A machine that was twice as slow in the second pair changes both halves, and neither ratio nor verdict."""
    measure = Measure("polls", "polls/s", [500.0, 250.0], [1000.0, 500.0], "bare")
    assert measure.beside == [0.5, 0.5]
    assert Measure("latency", "ms", [3.0, 9.0], [1.0, 2.0], "bare", "difference").beside == [2.0, 7.0]


@pytest.mark.parametrize("reading", [0.0, math.nan, math.inf, None])
@pytest.mark.parametrize("compared_by", ["ratio", "difference"])
def test_a_reading_of_any_kind_costs_no_other_figure(
    tmp_path: Path, reading: float | None, compared_by: Literal["ratio", "difference"]
) -> None:
    """The table, the file and the comparison have all pairs that can be compared, whichever half is 0 or missing."""
    name, odd = "memory", cast("float", reading)
    measures = [
        Measure(name, "KB", [odd, 4.0], [2.0, 2.0], "limit", compared_by),
        Measure(name, "KB", [4.0, 4.0], [odd, 2.0], "other limit", compared_by),
        Measure("one run", "KB", [odd], [odd], "limit", compared_by),
        Measure("no run", "KB", []),
        Measure("sound", "KB", [6.0], [2.0], "limit"),
    ]
    report, path = Report({}, measures), tmp_path / "report.json"
    report.write(path)
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    for baseline in (report, read_report(path)):
        rows = report.table_against(baseline).splitlines()
        assert [row.split("  ")[0] for row in rows[1:]] == ["memory", "memory", "one run", "no run", "sound"]
    assert len(report.table().splitlines()) == 1 + len(measures)


def test_a_pair_without_a_ratio_leaves_those_of_the_others() -> None:
    """A ratio to zero is unknown, not infinite and not 0."""
    measure = Measure("polls", "polls/s", [1.0, 2.0, 3.0], [0.0, 1.0, 1.0], "bare")
    assert math.isnan(measure.beside[0])
    assert (spread(measure.beside).least, spread(measure.beside).most) == (2.0, 3.0)
    assert "2 / 2.5 / 3 x" in Report({}, [measure]).table()
    assert "unknown x" in Report({}, [Measure("polls", "polls/s", [1.0], [0.0], "bare")]).table()


def test_a_percentile_of_nothing_is_unknown() -> None:
    """A run that read nothing is no reason to lose the others."""
    assert math.isnan(percentile([], 99))


def test_a_half_without_its_pair_is_refused() -> None:
    """A run that failed on one side must not shift the pairs after it."""
    with pytest.raises(ValueError, match="shorter"):
        _ = Measure("polls", "polls/s", [1.0, 2.0], [1.0], "bare").beside


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A baseline means the same a year later."""
    path = tmp_path / "baseline.json"
    report = Report(
        {"cores": "2"}, [Measure("polls", "polls/s", [512.25], [1024.5], "bare"), Measure("trips", "", [1])]
    )
    report.write(path)
    assert read_report(path) == report


def test_a_change_beyond_the_baselines_spread_is_named() -> None:
    """Noise and change are told apart: only runs that do not overlap are said to differ."""
    baseline = Report(
        {}, [Measure("polls", "polls/s", [90.0, 100.0, 110.0]), Measure("append", "tokens/s", [90.0, 110.0])]
    )
    now = Report({}, [Measure("polls", "polls/s", [190.0, 210.0]), Measure("append", "tokens/s", [105.0, 120.0])])
    _, polls, append = now.table_against(baseline).splitlines()
    assert "+100 %" in polls
    assert "outside" in polls
    assert "outside" not in append


def test_a_faster_machine_is_no_change_of_ours() -> None:
    """With a limit, what counts is ours beside it: both twice as fast is the same as before."""
    baseline = Report({}, [Measure("polls", "polls/s", [100.0, 110.0], [200.0, 210.0], "bare")])
    same = Report({}, [Measure("polls", "polls/s", [200.0, 220.0], [400.0, 420.0], "bare")])
    worse = Report({}, [Measure("polls", "polls/s", [100.0, 110.0], [400.0, 420.0], "bare")])
    assert "outside" not in same.table_against(baseline)
    assert "outside" in worse.table_against(baseline)


def test_a_spread_is_of_the_runs() -> None:
    """Least, median and most."""
    assert (spread([3, 1, 2]).least, spread([3, 1, 2]).middle, spread([3, 1, 2]).most) == (1, 2, 3)
