"""docs/architecture.md and docs/decisions.md name files and functions that exist."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
_STEP = re.compile(r"^\| (\d+) \| `([^`]+)` \| (?:`([A-Za-z_.]+)`)? ?\|", re.MULTILINE)
_FILE = re.compile(r"`((?:app|bench|clients|deploy|docs|tests|tokentail|worker)/[\w/.]+\.\w+)`")


def _steps() -> list[tuple[Path, list[str]]]:
    """The file and the names of each row of the token's way; a row without a folder is in the room above it."""
    steps: list[tuple[Path, list[str]]] = []
    room = ROOT
    for _, file, names in _STEP.findall((ROOT / "docs/architecture.md").read_text()):
        if "/" in file and not file.startswith("lua/"):
            room = (ROOT / file).parent
        path = ROOT / file if (ROOT / file).exists() else room / file
        steps.append((path, names.split(".") if names else []))
    return steps


def files_of_the_way() -> set[Path]:
    """The files that one token passes, as the document names them."""
    return {path for path, _ in _steps()}


def test_the_way_of_a_token_leads_through_functions_that_exist() -> None:
    """Each file is there, and defines the class and the function that stand beside it."""
    for path, names in _steps():
        source = path.read_text()
        for name in names:
            assert re.search(rf"\b(?:class|def|function) {name}\b", source), f"{path} has no {name}"


def test_the_count_of_files_on_the_way_is_that_of_its_rows() -> None:
    """The sentence below the table counts the files of the table."""
    assert f"These are {len(files_of_the_way())} files" in (ROOT / "docs/architecture.md").read_text()


@pytest.mark.parametrize("document", ["architecture", "decisions"])
def test_files_that_are_named_exist(document: str) -> None:
    """No path in the document is that of a file which was moved or removed."""
    named = _FILE.findall((ROOT / f"docs/{document}.md").read_text())
    assert named
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_each_decision_has_four_cells() -> None:
    """Decision, reason, what holds it, and the date."""
    rows = [row for row in (ROOT / "docs/decisions.md").read_text().splitlines() if re.search(r"\| 20\d\d-", row)]
    assert rows
    assert [row for row in rows if not re.fullmatch(r"\| [^|]+ \| [^|]+ \| [^|]*\| 20\d\d-\d\d-\d\d \|", row)] == []
