"""Deltas that are a list of texts, or an object around one: they are read where it is clear what the text is."""

import json
from typing import Any

import pytest

from tests.contract.test_recorded_streams import PROVIDERS
from tests.unit.worker.recorded_streams import every_split, played

LISTED: dict[str, Any] = {
    "texts": ["Hel", "lo"],
    "an_object": {"type": "output_text", "text": "Hello"},
    "objects": [{"type": "text", "text": "Hel"}, {"text": "lo"}],
    "both": ["Hel", {"value": "lo"}],
}
UNCLEAR: dict[str, Any] = {
    "number": [1],
    "list_in_a_list": [["a"]],
    "no_text": {"a": "b"},
    "two_texts": {"text": "a", "value": "b"},
    "no_word": {"text": 5},
    "true": True,
}


def sent(*events: Any) -> bytes:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()


def of_responses(kind: str, told: Any, **fields: Any) -> bytes:
    event = {"type": f"response.{kind}.delta", "output_index": 0, "delta": told, **fields}
    return sent(event, {"type": "response.completed", "response": {"status": "completed", "output": []}})


def of_anthropic(*deltas: Any) -> bytes:
    events = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    return sent(*events, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"})


def of_gemini(told: Any) -> bytes:
    return sent({"candidates": [{"content": {"parts": [{"text": told}]}, "finishReason": "STOP"}]})


def shown(stream: bytes, dialect: str, kind: str = "") -> str:
    """The visible text, or that of all events of a kind. It ends with a finish reason, and in every split alike."""
    found = set()
    for pieces in every_split(stream):
        chunks = played(pieces, provider=PROVIDERS[dialect])
        assert "finish" in [chunk["type"] for chunk in chunks if not isinstance(chunk, str)], chunks
        texts = [chunk for chunk in chunks if isinstance(chunk, str)]
        events = [chunk["text"] for chunk in chunks if not isinstance(chunk, str) and chunk["type"] == kind]
        found.add("".join(events if kind else texts))
    [text] = found
    return text


@pytest.mark.parametrize("told", [pytest.param(told, id=name) for name, told in LISTED.items()])
def test_a_listed_text_is_shown_as_one(told: Any) -> None:
    """In each dialect whose deltas are texts."""
    assert shown(of_responses("output_text", told), "openai_responses") == "Hello"
    assert shown(of_responses("refusal", told), "openai_responses", "refusal") == "Hello"
    assert shown(of_responses("reasoning_text", told), "openai_responses", "reasoning") == "Hello"
    assert shown(of_anthropic({"type": "text_delta", "text": told}), "anthropic") == "Hello"
    assert shown(of_anthropic({"type": "thinking_delta", "thinking": told}), "anthropic", "reasoning") == "Hello"
    assert shown(of_gemini(told), "gemini") == "Hello"


def test_a_listed_whole_adds_nothing_to_its_deltas() -> None:
    """What `….done` repeats is shown once, in a list, too."""
    done = {"type": "response.output_text.done", "output_index": 0, "text": ["Hello", " you"]}
    stream = sent({"type": "response.output_text.delta", "output_index": 0, "delta": ["Hel", "lo"]}, done)
    assert shown(stream + of_responses("output_text", None), "openai_responses") == "Hello you"


def test_a_list_of_deltas_is_read_one_by_one() -> None:
    """Each has a type of its own."""
    deltas = [{"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo"}]
    assert shown(of_anthropic(deltas), "anthropic") == "Hello"


@pytest.mark.parametrize("told", [['{"a"', ": 1}"], {"a": 1}], ids=["pieces", "object"])
def test_arguments_in_a_list_join_to_one_json_value(told: Any) -> None:
    """A list of texts is the pieces of the JSON; an object is the arguments themselves."""
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "read"}
    added = sent({"type": "response.output_item.added", "output_index": 0, "item": item})
    block = {"type": "tool_use", "id": "c", "name": "read", "input": {}}
    begun = sent({"type": "content_block_start", "index": 0, "content_block": block})
    for dialect, stream in (
        ("openai_responses", added + of_responses("function_call_arguments", told)),
        ("anthropic", begun + of_anthropic({"type": "input_json_delta", "partial_json": told})),
    ):
        chunks = played([stream], provider=PROVIDERS[dialect])
        calls = [chunk for chunk in chunks if not isinstance(chunk, str) and chunk["type"] == "tool_call"]
        assert json.loads("".join(call["arguments"] for call in calls)) == {"a": 1}


@pytest.mark.parametrize("told", [pytest.param(told, id=name) for name, told in UNCLEAR.items()])
def test_what_holds_no_clear_text_is_malformed(told: Any) -> None:
    """The answer fails; no text is guessed or left out."""
    for dialect, stream in (
        ("openai_responses", of_responses("output_text", told)),
        ("anthropic", of_anthropic({"type": "text_delta", "text": told})),
        ("gemini", of_gemini(told)),
    ):
        assert played([stream], provider=PROVIDERS[dialect])[-1]["kind"] == "malformed"
