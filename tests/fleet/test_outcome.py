"""What the fleet's campaign counts: silences, what may be lost, and the table."""

from pathlib import Path

import pytest

from tests.acceptance.chaos.marked_token import MarkedToken
from tests.acceptance.chaos.padding import padded
from tests.acceptance.chaos.violation import Violation
from tests.fleet.outcome import Outcome, table, write_into
from tests.fleet.submissions import check_answer
from tests.fleet.timed_view import TimedView


def _body(tokens: list[str], *, done: bool = False) -> dict[str, object]:
    end = {"finish_reason": "stop", "usage": None, "error": None}
    return {
        "job_id": "j",
        "status": "completed" if done else "running",
        "tokens": tokens,
        "cursor": "c",
        "reset": False,
        "done": done,
        **end,
    }


def test_a_silence_counts_for_a_fault_when_it_was_not_over_before_the_fault() -> None:
    """A silence that began before a fault counts, too: the fault made it longer."""
    view = TimedView("j", 1, "20")
    view.arrivals = [0.0, 10.0, 11.0, 15.0, 16.0]
    assert view.silent_s(since=12.0) == 4.0
    assert view.silent_s(since=5.0) == 10.0
    assert view.silent_s(since=15.5) == 1.0
    assert view.silent_s(since=16.0) == 0.0


def test_padded_tokens_are_checked_as_all_others_are() -> None:
    """A gap between padded tokens is found."""
    view = TimedView("j", 7, "20")
    first, second, third = (padded(MarkedToken(7, 1, place).text, 100) for place in range(3))
    view.take(_body([first, second]))
    assert (view.count, view.text) == (2, "7.1.0;7.1.1;")
    view.take(_body([third], done=True))
    check_answer(view, 3)
    with pytest.raises(Violation, match="completed with 3 of 4 tokens"):
        check_answer(view, 4)
    other = TimedView("j", 7, "20")
    with pytest.raises(Violation, match="with a gap before it"):
        other.take(_body([first, third]))


def test_the_table_has_a_row_for_each_fault_with_median_and_most() -> None:
    """Readers of jobs that the fault does not touch have a column of their own."""
    killed = Outcome("node killed", "cluster", rounds=3, hit_s=[3.0, 4.0, 9.0], others_s=[0.3], submitted=80, refused=2)
    head, line, row = table([killed]).splitlines()
    assert head.count("|") == line.count("|") == row.count("|")
    assert row.startswith("| node killed | cluster | 3 | 4.0 s (9.0) | 0.3 s (0.3) | 0 | 2 of 80 |")


def test_a_stores_table_replaces_the_one_before_in_its_page(tmp_path: Path) -> None:
    """Another store's table stays, and a page without a place for it is refused."""
    page = tmp_path / "page.md"
    places = "".join(
        f"<!-- {s}: written by tests.fleet -->\nold {s}\n<!-- end of {s} -->\n" for s in ("single", "cluster")
    )
    page.write_text(places)
    write_into(page, "single", "| new |")
    assert "| new |" in page.read_text()
    assert "old single" not in page.read_text()
    assert "old cluster" in page.read_text()
    with pytest.raises(LookupError):
        write_into(page, "hosts", "| new |")
