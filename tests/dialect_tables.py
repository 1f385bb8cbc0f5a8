"""Reads the tables in docs/dialects: what each dialect's SDK defines, and what becomes of it here."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "dialects"
_ROW = re.compile(r"\| `(?P<name>[^`]+)` \| (?P<outcome>.+) \|")


@dataclass(frozen=True)
class Row:
    """One row: the heading over its table, the name that the SDK gives, and what becomes of it."""

    section: str
    name: str
    outcome: str


def dialects() -> list[str]:
    """The dialects that have tables."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def rows(dialect: str) -> list[Row]:
    """All rows of a dialect's page."""
    section, found = "", []
    for line in (FOLDER / f"{dialect}.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif row := _ROW.fullmatch(line):
            found.append(Row(section, row["name"], row["outcome"]))
    return found
