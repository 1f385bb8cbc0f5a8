"""The run: each figure is kept as it comes, and a part that fails, hangs or is interrupted costs the others nothing."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure import Measure
from bench.report import Report, read_report
from bench.run import run_parts

GOOD, LATER = Measure("good", "ms", [1.0]), Measure("later", "ms", [2.0])


def good() -> Iterator[Measure]:
    yield GOOD


def later() -> Iterator[Measure]:
    yield LATER


def breaking(error: BaseException) -> Iterator[Measure]:
    """One figure, and then this."""
    yield Measure("half", "ms", [3.0])
    raise error


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        RuntimeError("the program failed"),
        subprocess.TimeoutExpired("wrk", 5),
        TimeoutError(),
        KeyError("tokens"),
    ],
)
def test_a_part_that_fails_is_named_beside_the_figures_of_all(error: Exception, tmp_path: Path) -> None:
    """What it measured before stays, and the parts after it run."""
    report, path = Report({}, []), tmp_path / "report.json"
    run_parts({"a": good, "b": lambda: breaking(error), "c": later}, report, lambda: report.write(path))
    assert [measure.name for measure in report.measures] == ["good", "half", "later"]
    assert list(report.failures) == ["b"]
    assert report.failures["b"].startswith(type(error).__name__)
    assert report.table().splitlines()[-1].startswith(f"b failed: {type(error).__name__}")
    assert read_report(path) == report


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143)])
def test_what_was_measured_before_ctrl_c_stays(stop: BaseException, tmp_path: Path) -> None:
    """The parts that have not all of their figures are named."""
    report, path = Report({}, []), tmp_path / "report.json"
    with pytest.raises(type(stop)):
        run_parts({"a": good, "b": lambda: breaking(stop), "c": later}, report, lambda: report.write(path))
    kept = read_report(path)
    assert [measure.name for measure in kept.measures] == ["good", "half"]
    assert kept.failures == {"b": "interrupted", "c": "interrupted"}


def test_each_figure_is_printed_and_kept_before_the_next_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that goes down takes none of them along."""
    report = Report({}, [])
    kept: list[list[Measure]] = []

    def part() -> Iterator[Measure]:
        yield GOOD
        assert kept == [[GOOD]]
        assert "good  ms  1 / 1 / 1" in capsys.readouterr().out
        yield LATER

    run_parts({"a": part}, report, lambda: kept.append(list(report.measures)))
    assert report.failures == {}
    assert report.measures == [GOOD, LATER]


def test_a_part_is_closed_before_the_next_begins() -> None:
    """A part's servers do not run beside those of the next part, even after a figure that cannot be kept."""
    order: list[str] = []

    def part() -> Iterator[Measure]:
        try:
            yield GOOD
        finally:
            order.append("closed")

    def following() -> Iterator[Measure]:
        order.append("next")
        yield LATER

    def keep() -> None:
        if not order:
            raise OSError("the disk is full")

    report = Report({}, [])
    run_parts({"a": part, "b": following}, report, keep)
    assert order == ["closed", "next"]
    assert report.failures == {"a": "OSError: the disk is full"}
