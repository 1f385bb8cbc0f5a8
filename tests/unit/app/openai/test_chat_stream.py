"""Chat Completions' stream: what clients join of it is the log's answer, and none of it is spliced."""

import json
from typing import Any

import pytest

from app.openai.answer import Answer
from app.openai.chat_answer import chat_completion
from app.openai.chat_stream import ChatStream
from tests.unit.app.openai.recorded_logs import JOB, Log, log_of, recorded_logs, text_of

LOGS = recorded_logs()


def fold(*, with_usage: bool = False) -> ChatStream:
    return ChatStream(JOB, "p/m", 1, with_usage=with_usage, path="/p")


def chunks_of(stream: bytes) -> list[Any]:
    """The data of the events; `[DONE]` as it is. Every event is one line and an empty line."""
    events = stream.decode().split("\n\n")
    assert events.pop() == ""
    for event in events:
        assert event.startswith("data: ")
        assert len(event.splitlines()) == 1, "no client may find a line break in an event"
    return ["[DONE]" if e == "data: [DONE]" else json.loads(e.removeprefix("data: ")) for e in events]


def joined(chunks: list[Any]) -> dict[str, Any]:
    """What a simple client joins of the chunks."""
    message: dict[str, Any] = {"content": "", "refusal": "", "reasoning_content": "", "calls": {}, "finish": None}
    for chunk in chunks:
        if chunk == "[DONE]" or not chunk.get("choices"):
            continue
        choice = chunk["choices"][0]
        for name in ("content", "refusal", "reasoning_content"):
            message[name] += choice["delta"].get(name) or ""
        for piece in choice["delta"].get("tool_calls", ()):
            call = message["calls"].setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            given = piece.get("function") or piece.get("custom") or {}
            call["id"] += piece.get("id", "")
            call["name"] += given.get("name", "")
            call["arguments"] += given.get("arguments", given.get("input", ""))
        message["finish"] = choice["finish_reason"] or message["finish"]
    return message


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_recorded_log_is_the_same_however_it_is_cut(log: Log) -> None:
    """Cut at every element, the chunks are those of one read; joined, they are the whole answer."""
    whole = fold()
    expected = whole.opening() + whole.take(log.batch())
    for at in range(len(log.elements) + 1):
        cut = fold()
        assert cut.opening() + cut.take(log.batch(0, at)) + cut.take(log.batch(at)) == expected
    answer = Answer(JOB)
    answer.take(log.elements)
    said = joined(chunks_of(expected))
    assert said["content"] == text_of(log)
    if answer.end and answer.end["status"] == "completed":
        message = chat_completion(answer, JOB, "p/m", 1)["choices"][0]["message"]
        assert (message["content"] or "") == said["content"]
        assert [
            (call["id"], call.get("function", call.get("custom"))["name"]) for call in message.get("tool_calls", ())
        ] == [(call["id"], call["name"]) for call in said["calls"].values()]
        assert chunks_of(expected)[-1] == "[DONE]"
    else:
        assert chunks_of(expected)[-1]["error"]["message"] == "It failed."


def test_the_order_of_chunks_is_that_of_openai() -> None:
    """The role comes first and once; the finish reason alone; usage only where it was asked for, without a choice."""
    log = log_of("x", ["Hi"], finish_reason=None, usage={"input_tokens": 3, "output_tokens": 2})
    for with_usage in (False, True):
        stream = fold(with_usage=with_usage)
        chunks = chunks_of(stream.opening() + stream.take(log.batch()))
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:3]]
        assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {"content": "Hi"}, {}]
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:3]] == [None, None, "stop"]
        assert {chunk["id"] for chunk in chunks[:-1]} == {f"chatcmpl-{JOB}"}
        assert len(chunks) == 4 + with_usage
        if with_usage:
            assert chunks[3]["choices"] == []
            assert chunks[3]["usage"]["total_tokens"] == 5


def test_a_call_has_its_name_once_and_always_an_id() -> None:
    """The first piece has index, id, type and name; later ones have the index and arguments only."""
    pieces = [
        {"type": "tool_call", "index": 0, "id": "", "name": "f", "arguments": '{"a"'},
        {"type": "tool_call", "index": 0, "arguments": ":1}"},
    ]
    stream = fold()
    chunks = chunks_of(stream.take(log_of("x", pieces, finish_reason="tool_calls").batch()))
    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[:3]]
    assert calls == [
        {"index": 0, "id": f"call_{JOB}_0", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
    ]


@pytest.mark.parametrize("text", ["a\u2028b", "\u2029", "\x85", 'quoted " and \\', "\u0080\u2027\u202a"])
def test_no_client_breaks_a_line_within_a_chunk(text: str) -> None:
    """What `splitlines` takes for the end of a line is escaped, in tokens and in events."""
    stream = fold()
    log = log_of("x", [text, {"type": "reasoning", "text": text}])
    assert joined(chunks_of(stream.take(log.batch())))["content"] == text


BROKEN = log_of("x", ["One ", "two"])


@pytest.mark.parametrize(
    ("again", "is_silent"),
    [
        (["One two three"], True),
        (["O", "ne ", "t", "wo", " three"], True),
        (["One two"], True),
        (["One "], False),
        (["One too three"], False),
        ([{"type": "reasoning", "text": "hm"}, "One two"], False),
    ],
)
def test_a_new_generation_goes_on_where_it_repeats_what_was_shown(again: list[Any], is_silent: bool) -> None:
    """The new generation is held back as long as it repeats what was shown.

    At the first letter that differs, and where it ends before that, the stream ends with an error and without `[DONE]`;
    nothing is spliced.
    """
    stream = fold()
    shown = stream.take(BROKEN.batch(0, 3))
    log = Log("y", log_of("y", again).elements, "g2", 4)
    chunks = chunks_of(shown + stream.take(log.batch(is_reset=True)))
    if is_silent:
        assert joined(chunks)["content"] == "".join(again)
        assert chunks[-1] == "[DONE]"
    else:
        assert joined(chunks)["content"] == "One two"
        assert chunks[-1]["error"]["code"] == "generation_restarted"
    assert stream.is_ended


def test_a_reset_before_anything_was_shown_is_silent() -> None:
    """The client has nothing that could be wrong."""
    stream = fold()
    shown = stream.take(BROKEN.batch(0, 1))
    log = Log("y", log_of("y", ["New"]).elements, "g2", 4)
    assert joined(chunks_of(shown + stream.take(log.batch(is_reset=True))))["content"] == "New"
