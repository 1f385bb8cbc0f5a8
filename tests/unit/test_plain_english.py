"""The check of plain English finds each habit in each kind of text, and leaves clean sentences alone."""

import subprocess
from pathlib import Path

import pytest

from tests.plain_english import MOST_WAIVERS, WAIVER, Text, findings_in, main, markdown_texts, python_texts, texts_of

_NAMELESS = "a clause with who as its subject; name the subject"
_ROUNDABOUT = "a roundabout negation; say what the thing is"
_MOTION = "a motion in place of a fact"
_HEARSAY = "hearsay in place of a fact; name what is sent, received, written or known"
_DEPENDENT = "a docstring that needs the text above it"


def habits_of(text: str, *, is_docstring: bool = False) -> list[str]:
    return [habit for _, habit, _ in findings_in(Text(1, text, is_docstring))]


@pytest.mark.parametrize(
    ("text", "habit"),
    [
        ("Who stands at the opening of a log has read nothing.", _NAMELESS),
        ("The lock is held by whoever started first.", _NAMELESS),
        ("The next answer is for who asks again.", _NAMELESS),
        ("Something arrived as a command that is none.", _ROUNDABOUT),
        ("The order of the fields is of no matter.", _ROUNDABOUT),
        ("The client must not come again.", _MOTION),
        ("Wait until the thread has gone.", _MOTION),
        ("Clients are told 503.", _HEARSAY),
        ("The process has heard that its job is lost.", _HEARSAY),
    ],
)
def test_a_habit_is_found(text: str, habit: str) -> None:
    """Anywhere in a docstring, a comment or a document."""
    assert habits_of(text) == [habit]


@pytest.mark.parametrize(
    "text",
    [
        "The client who asks twice gets one job.",
        "The program lists who may read the job.",
        "None of the workers is alive, and no value is none of these.",
        "The order does not matter.",
        "The process is going to stop.",
        "Two kinds of silence are told apart, and the user heard nothing.",
        "A new attempt comes, and the reader is gone.",
        "A name in code is no sentence: `who_ever whoever` and `come again`.",
    ],
)
def test_a_clean_neighbour_is_not_found(text: str) -> None:
    """A word of a habit in another place of a sentence is a word like others."""
    assert habits_of(text) == []


@pytest.mark.parametrize("text", ["The same for a job.", "Its address.", "And then closes it.", "Those at the front."])
def test_a_docstring_must_not_lean_on_the_text_above_it(text: str) -> None:
    """A reader sees it alone, in an editor's tooltip. In running text the same words are good English."""
    assert habits_of(text, is_docstring=True) == [_DEPENDENT]
    assert habits_of(text) == []


def test_python_s_docstrings_comments_and_messages_are_read() -> None:
    """Short strings are names and keys, not sentences."""
    source = '"""Module."""\n# A comment.\nfault = "a message of five words"\nkey = "whoever"\n'
    assert sorted(text.text for text in python_texts(source)) == ["A comment.", "Module.", "a message of five words"]
    assert [text.is_docstring for text in python_texts(source) if text.text == "Module."] == [True]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.lua", "local x = 1 -- whoever writes next\n"),
        ("a.js", "let x; // whoever writes next\n"),
        ("a.ts", "/*\n * whoever writes next\n */\n"),
        ("a.sh", "true # whoever writes next\n"),
        ("a.md", "For whoever writes next.\n"),
    ],
)
def test_other_kinds_of_files_are_read(tmp_path: Path, name: str, content: str) -> None:
    """Their comments, or their text, count like Python's."""
    path = tmp_path / name
    path.write_text(content)
    assert [habit for text in texts_of(path) for _, habit, _ in findings_in(text)] == [_NAMELESS]


def test_code_blocks_of_markdown_are_not_read() -> None:
    """What a program prints is quoted as it is."""
    assert [text.line for text in markdown_texts("Text.\n```\nwhoever\n```\nText.\n")] == [1, 5]


def test_a_finding_names_its_line() -> None:
    """In a docstring of several lines, that of the words."""
    (finding,) = findings_in(Text(10, "First line.\n\nFor whoever reads the third."))
    assert finding == (12, _NAMELESS, "whoever")


@pytest.mark.parametrize(
    "source",
    [
        f"x = 1  # as whoever said: {WAIVER}\n",
        f'def f():\n    # {WAIVER}\n    """Whoever calls."""\n',
        f'# {WAIVER}\nquoted = "whoever quotes this has a reason"\n',
    ],
)
def test_a_waived_line_is_not_found_and_is_counted(source: str) -> None:
    """A quotation may stay as it is; the count keeps waivers few."""
    texts = list(python_texts(source))
    assert [finding for text in texts for finding in findings_in(text)] == []
    assert sum(text.is_waived for text in texts) == 1


def test_a_waiver_reaches_no_other_line() -> None:
    """The line after a waived one is checked."""
    texts = [*markdown_texts(f"whoever quotes <!-- {WAIVER} -->\nwhoever writes\n")]
    assert [line for text in texts for line, _, _ in findings_in(text)] == [2]


@pytest.mark.parametrize("count", [MOST_WAIVERS, MOST_WAIVERS + 1])
def test_more_than_ten_waivers_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    """Ten quotations are plenty; an eleventh must be written in plain English."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "a.md").write_text(f"whoever quotes <!-- {WAIVER} -->\n" * count)
    monkeypatch.chdir(tmp_path)
    is_failed = main()
    assert (is_failed, capsys.readouterr().out) == (
        (0, "") if count == 10 else (1, "11 lines are waived; at most 10 may be.\n")
    )


def test_a_finding_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is printed with its file and line; vendored files are not checked."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "vendor").mkdir()
    for name in ("a.md", "vendor/b.md"):
        (tmp_path / name).write_text("Text.\nFor whoever reads.\n")
    monkeypatch.chdir(tmp_path)
    assert main() == 1
    assert capsys.readouterr().out == f"a.md:2: {_NAMELESS}: whoever\n"
