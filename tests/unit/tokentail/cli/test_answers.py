"""What `ask` and `tail` print of a job's updates."""

import json

import pytest

from tokentail.cli.answers import print_answer
from tokentail.client.responses import Update, parse_update


def update(*tokens: str, status: str = "running", reset: bool = False, **end: object) -> Update:
    body = {"job_id": "j1", "status": status, "tokens": list(tokens), "cursor": "g.1", "reset": reset, **end}
    return parse_update(body | {"done": status not in {"queued", "running"}, "poll_after_ms": 0}, "long")


def test_the_text_and_nothing_else_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """What a script captures is the answer."""
    assert print_answer([update("Hel"), update("lo", status="completed")], as_json=False) == 0
    assert capsys.readouterr() == ("Hello\n", "")


def test_the_last_line_is_ended_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets the text as it is, and a line end where the text has none, as programs of the shell end theirs."""
    for text, printed in (("a\r\n\x1b[1m", "a\r\n\x1b[1m\n"), ("a\n", "a\n"), ("", "")):
        assert print_answer([update(*[text] * bool(text)), update(status="completed")], as_json=False) == 0
        assert capsys.readouterr().out == printed


def test_a_reset_starts_the_text_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What a script was given cannot be taken back: the text begins again on its own line, and the code says so."""
    updates = [update("Hel"), update("Hello", status="completed", reset=True)]
    assert print_answer(updates, as_json=False) == 1
    told = "tokentail: the answer was started again; the output holds the broken one, too\n"
    assert capsys.readouterr() == ("Hel\nHello\n", f"(started again)\n{told}")


def test_on_a_terminal_a_reset_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who reads along sees what happened."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert print_answer([update("Hel"), update("Hello", status="completed", reset=True)], as_json=False) == 0
    assert capsys.readouterr().err == ""


def test_a_reset_before_anything_was_printed_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to take back."""
    print_answer([update(), update("Hello", status="completed", reset=True)], as_json=False)
    assert capsys.readouterr() == ("Hello\n", "")


def test_a_reset_after_a_quiet_poll_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What is on the screen counts, not what came last."""
    print_answer([update("Hel"), update(), update("Hello", status="completed", reset=True)], as_json=False)
    assert capsys.readouterr().err.startswith("(started again)\n")


def test_a_failed_job_is_exit_code_1_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is the server's, on stderr."""
    failed = update(status="failed", error={"type": "timeout", "message": "No token came in time."})
    assert print_answer([update("Hel"), failed], as_json=False) == 1
    assert capsys.readouterr() == ("Hel\n", "tokentail: the job has failed: No token came in time.\n")


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


def test_what_comes_beside_the_text_is_noted_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Sources, media, tools and skipped content have a line each, once; those of a generation that broke off have
    none; nothing of them is in the text."""
    cited = {"type": "citation", "url": "https://a.example", "title": "One", "text": ""}
    image = {"type": "media", "index": 0, "kind": "image", "media_type": "image/png", "data": "AAAA"}
    call = {"type": "tool_call", "index": 0, "id": "c", "name": "weather\x1b[2J", "arguments": "{}"}
    skipped = {"type": "skipped", "kind": "part", "provider_type": "hologram", "bytes": 9}
    lost = update_with({"type": "code", "id": "1", "language": "python", "text": "1"})
    last = update_with("See", cited, cited, image, call, skipped, status="completed", reset=True)
    assert print_answer([lost, last], as_json=False) == 0
    out, err = capsys.readouterr()
    assert out == "See\n"
    assert err.splitlines() == [
        "(source: One https://a.example)",
        "(image image/png, in the job's events)",
        "(the model calls the tool weather\ufffd[2J)",
        "(not shown: hologram (9 bytes))",
    ]


def update_with(*events: object, status: str = "running", reset: bool = False) -> Update:
    body = {"job_id": "j1", "status": status, "events": list(events), "cursor": "g.1", "reset": reset}
    return parse_update(body | {"done": status not in {"queued", "running"}, "poll_after_ms": 0}, "long")
