"""`make networks`: probe every proxy that is here, and write the tables of docs/networks.md.

A row that was measured here replaces the one in the document. A program that is not on this machine keeps the rows of
the document, and the exit status is 1. `--figures FILE` probes nothing, and writes the other table of that page: what
`python -m bench networks --json FILE` has found.
"""

import argparse
import json
import sys
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path

from bench.networks.figures import figures_table
from bench.networks.node_setups import node_setups
from bench.networks.running import Front, fronts, version_of
from bench.networks.setups import Setup, debian_setups
from bench.networks.traits import Traits, traits_of
from bench.stack import running_stack

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
TRAITS, FIGURES = "traits", "figures"
_TOKENS_PER_S = 20.0


def main() -> int:
    """Write a table; 1 when a program is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.networks.page", description=__doc__)
    parser.add_argument("--figures", type=Path, metavar="FILE", help="write figures of python -m bench networks")
    parser.add_argument("--only", metavar="NAME", default="", help="only the programs whose title has this")
    options = parser.parse_args()
    text = PAGE.read_text()
    if options.figures:
        day = datetime.fromtimestamp(options.figures.stat().st_mtime, UTC).date()
        table = figures_table(json.loads(options.figures.read_text()), day)
        PAGE.write_text(with_table(text, FIGURES, table))
        return 0
    setups = [one for one in (*debian_setups(), *node_setups()) if options.only.lower() in one.name.lower()]
    rows, missing = _rows(setups)
    PAGE.write_text(with_rows(text, rows))
    print(*missing, sep="\n", file=sys.stderr)
    return 1 if missing else 0


def _rows(setups: list[Setup]) -> tuple[dict[str, str], list[str]]:
    """The table's row of each setup that could be run, by the row's first cells, and what is missing for the others."""
    rows: dict[str, str] = {}
    missing: list[str] = []
    with running_stack(tokens_per_s=_TOKENS_PER_S) as stack:

        def probe(front: Front) -> Traits:
            return traits_of(front.port, stack.web_port, front.relay)

        for front, traits in fronts(setups, stack.web_port, probe, missing.append):
            assert front.setup is not None
            row = _row(front.setup, traits)
            print(row, flush=True)
            rows[row_key(front.setup)] = row
    return rows, missing


def _row(setup: Setup, traits: Traits) -> str:
    day = datetime.now(UTC).date().isoformat()
    return " | ".join((f"{row_key(setup)} {version_of(setup.program)}", *astuple(traits), day)) + " |"


def row_key(setup: Setup) -> str:
    """The first cells of the setup's row, by which it is found."""
    return f"| {setup.program.title} | {'… with ' + setup.line if setup.line else 'smallest'} |"


def with_rows(text: str, rows: dict[str, str]) -> str:
    """The page with these rows in the place of those of the same setups; new ones before the others."""
    head, rule, *kept = _table(text, TRAITS)
    known = [rows.get(_key(row), row) for row in kept]
    new = [row for key, row in rows.items() if key not in map(_key, kept)]
    return with_table(text, TRAITS, "\n".join([head, rule, *new, *known]))


def _key(row: str) -> str:
    return "|".join(row.split("|")[:3]) + "|"


def with_table(text: str, name: str, table: str) -> str:
    """The page with this table between its marks. Raises ValueError if they are not there."""
    begin, end = _marks(name)
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the page has no mark of the table {name}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _table(text: str, name: str) -> list[str]:
    begin, end = _marks(name)
    return text.partition(begin)[2].partition(end)[0].strip().splitlines()


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: written by make networks -->", f"<!-- end of {name} -->"


if __name__ == "__main__":
    sys.exit(main())
