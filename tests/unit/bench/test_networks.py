"""The tables of docs/networks.md, and what is read from a run of readers."""

import math
from datetime import date

import pytest

from bench.networks.figures import figures_table
from bench.networks.measure import readings
from bench.networks.node_setups import node_setups
from bench.networks.page import FIGURES, PAGE, TRAITS, row_key, with_rows, with_table
from bench.networks.setups import Setup, debian_setups

_TABLE = """<!-- traits: written by make networks -->
| program | configuration | SSE |
| --- | --- | --- |
| nginx | smallest | old |
| hitch | TLS only | by hand |
<!-- end of traits -->
and more"""


def test_a_row_replaces_the_one_of_its_setup_and_no_other() -> None:
    """What could not be run this time stays as it was, and a new program comes first."""
    rows = {
        "| nginx | smallest |": "| nginx | smallest | new |",
        "| Caddy | smallest |": "| Caddy | smallest | first |",
    }
    lines = with_rows(_TABLE, rows).splitlines()
    assert [line.split("|")[3].strip() for line in lines[3:6]] == ["first", "new", "by hand"]
    assert lines[-1] == "and more"


def test_a_table_without_its_mark_is_a_fault() -> None:
    """A page whose marks were edited away is not written over."""
    with pytest.raises(ValueError, match="no mark"):
        with_table("a page without marks", FIGURES, "| a table |")


@pytest.mark.parametrize("setup", [*debian_setups(), *node_setups()], ids=lambda setup: setup.name)
def test_every_setup_has_a_row_in_the_document(setup: Setup) -> None:
    """A setup that is added, or whose line changes, is measured before it is published."""
    assert row_key(setup) in PAGE.read_text().partition(f"{TRAITS}:")[2]


def test_a_death_is_noticed_with_the_next_request() -> None:
    """Gaps before the death and the silence around it are told apart."""
    run = {"began": 10.0, "arrived": [10.5, 10.75, 12.0, 15.0], "asked": [10.0, 13.5]}
    seen = readings(run, died=12.25)
    assert (seen.first_token_s, seen.longest_gap_s, seen.noticed_s, seen.silence_s) == (0.5, 1.25, 1.25, 3.0)
    nothing = readings({"began": 0.0, "arrived": [], "asked": [0.0]}, died=5.0)
    assert all(math.isnan(value) for value in (nothing.first_token_s, nothing.longest_gap_s, nothing.noticed_s))


def test_a_reader_that_saw_nothing_is_said_so() -> None:
    """A missing figure is no zero, and no blank that could be taken for one."""
    name = "networks, lighttpd, smallest, auto, first token"
    measures = [{"name": name, "ours": [0.51], "limit": [None]}, {"name": "polls", "ours": [1.0], "limit": []}]
    machine = {"cores": "2", "processor": "a processor", "used by others meanwhile": "50 %"}
    _, _, row, _, below = figures_table({"machine": machine, "measures": measures}, date(2026, 11, 29)).splitlines()
    assert row.startswith("| lighttpd, smallest | never → 0.51 |")
    assert below == "Measured on 2026-11-29, on 2 cores of a processor; others used 50 % of them."
