"""Links between the documents lead somewhere, and every page is in the index."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]
_DOCUMENTS = sorted(
    path
    for folder in ("", "app/static/client", "clients/js", "docs", "docs/dialects", "examples", "packaging/server")
    for path in (_ROOT / folder).glob("*.md")
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _prose(document: Path) -> str:
    return _CODE.sub("", document.read_text())


def _anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_prose(document)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        same = sum(1 for each in anchors if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", each))
        anchors.add(f"{anchor}-{same}" if same else anchor)
    return anchors


def _broken(document: Path) -> list[str]:
    """The links of a document that lead nowhere. Addresses of other hosts are not asked."""
    broken = []
    for link in _LINK.findall(_prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        is_there = target.exists() and (not anchor or target.suffix != ".md" or anchor in _anchors(target))
        if not is_there:
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(_ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    """A reader who follows a link finds what it promises."""
    assert _broken(document) == []


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to every page in the folder, so that none is found by luck alone."""
    linked = {link.partition("#")[0] for link in _LINK.findall((_ROOT / "docs/README.md").read_text())}
    assert {path.name for path in (_ROOT / "docs").glob("*.md")} - linked == {"README.md"}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The test above can fail: for a missing file, for a missing heading, and not for code."""
    (tmp_path / "other.md").write_text("# One `thing`: here\n\n## Two\n\n## Two\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#one-thing-here) [b](other.md#two-1) [c](gone.md) [d](other.md#three)\n```\n[e](gone.md)\n```\n"
    )
    assert _broken(page) == ["gone.md", "other.md#three"]


def test_the_commands_of_the_promises_name_tests_and_targets_that_exist() -> None:
    """A claim cannot be checked by a command that was renamed or removed."""
    text = (_ROOT / "docs/promises.md").read_text()
    tests = set(re.findall(r"pytest (tests/[\w/.]+)", text))
    targets = set(re.findall(r"`make ([\w-]+)", text)) - {"setup", "test"}
    assert tests
    assert targets
    assert [name for name in sorted(tests) if not (_ROOT / name).exists()] == []
    makefile = (_ROOT / "Makefile").read_text()
    assert [name for name in sorted(targets) if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
