"""What `ask` and `tail` print of a job's updates."""

import json

import pytest

from tokentail.cli.answers import print_answer
from tokentail.client.answers import Update, parse_update


def update(*tokens: str, status: str = "running", reset: bool = False, **end: object) -> Update:
    body = {"job_id": "j1", "status": status, "tokens": list(tokens), "cursor": "g.1", "reset": reset, **end}
    return parse_update(body | {"done": status not in {"queued", "running"}, "poll_after_ms": 0}, "long")


def test_the_text_and_nothing_else_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """What a script captures is the answer."""
    assert print_answer([update("Hel"), update("lo", status="completed")], as_json=False) == 0
    assert capsys.readouterr() == ("Hello", "")


def test_a_reset_starts_the_text_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What a script was given cannot be taken back: the text begins again on its own line, and the code says so."""
    updates = [update("Hel"), update("Hello", status="completed", reset=True)]
    assert print_answer(updates, as_json=False) == 1
    told = "tokentail: the answer was started again; the output holds the broken one, too\n"
    assert capsys.readouterr() == ("Hel\nHello", f"(started again)\n{told}")


def test_on_a_terminal_a_reset_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads along sees what happened."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert print_answer([update("Hel"), update("Hello", status="completed", reset=True)], as_json=False) == 0
    assert capsys.readouterr().err == ""


def test_a_reset_before_anything_was_printed_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to take back."""
    print_answer([update(), update("Hello", status="completed", reset=True)], as_json=False)
    assert capsys.readouterr() == ("Hello", "")


def test_a_reset_after_a_quiet_poll_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What is on the screen counts, not what came last."""
    print_answer([update("Hel"), update(), update("Hello", status="completed", reset=True)], as_json=False)
    assert capsys.readouterr().err.startswith("(started again)\n")


def test_a_failed_job_is_exit_code_1_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is the server's, on stderr."""
    failed = update(status="failed", error={"type": "timeout", "message": "No token came in time."})
    assert print_answer([update("Hel"), failed], as_json=False) == 1
    assert capsys.readouterr() == ("Hel", "tokentail: the job has failed: No token came in time.\n")


def test_json_is_the_bodies(capsys: pytest.CaptureFixture[str]) -> None:
    """One body a line, a failure included; the exit code is the same."""
    assert print_answer([update("Hel"), update(status="cancelled")], as_json=True) == 1
    bodies = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [body["status"] for body in bodies] == ["running", "cancelled"]


def test_a_models_text_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escape sequences are shown as what they are: nothing to obey."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_answer([update("a\x1b[2Jb\tc\n\x9b", status="completed", finish_reason="length")], as_json=False)
    text, _, note = capsys.readouterr().out.partition("\n\x1b[2m")  # the note's dimness is ours
    assert text == "a\ufffd[2Jb\tc\n\ufffd"
    assert note.startswith("(cut off at the token limit)")
