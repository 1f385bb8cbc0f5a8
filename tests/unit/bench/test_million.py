"""A million: the tables in the documents are computed from the figures in the reports."""

from pathlib import Path

from bench.million import LOADS, busy_share, fleet_for, read_figures, table

_GROWING = Path(__file__).parents[3] / "docs" / "growing.md"


def test_the_document_has_the_table_that_the_figures_give() -> None:
    """New figures need a new table: `python -m bench.million` prints it."""
    assert table(read_figures()) in _GROWING.read_text()


def test_messages_that_come_while_a_process_works_are_read_at_its_next_wake() -> None:
    """The busier it is, the less a message costs; nothing makes it cheaper than without any wake."""
    (idle, at_rest), (busy, crowded) = (busy_share(each, 1.0, 60.0, 40.0) for each in (100.0, 15_000.0))
    assert 0.009 < idle < 0.011  # 100 messages a second of 100 µs, at random moments
    assert at_rest < 1.1 < 1.5 < crowded
    assert 0.6 < busy < 1.5


def test_no_process_is_busier_than_it_may_be() -> None:
    """More readers need more web processes, and nothing else."""
    few, many = (fleet_for(load, read_figures()) for load in LOADS)
    assert many.web > 5 * few.web
    assert (few.workers, few.nodes) == (many.workers, many.nodes)
