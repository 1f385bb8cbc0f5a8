"""The accumulators of OpenAI's own Python SDK, behind its `.stream()`, take every stream that the folds make."""

from typing import Any

import pytest
from openai import omit
from openai._models import construct_type
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from app.openai.answer import Answer
from app.openai.chat_answer import chat_completion
from app.openai.chat_stream import ChatStream
from app.openai.responses_object import ResponseFacts
from app.openai.responses_stream import ResponsesStream
from tests.unit.app.openai.recorded_logs import JOB, Log, log_of, recorded_logs
from tests.unit.app.openai.test_chat_stream import chunks_of
from tests.unit.app.openai.test_responses_stream import events_of

CALL = {"type": "tool_call", "index": 0, "id": "c", "name": "f", "arguments": '{"a"'}
STATE = {"dialect": "anthropic", "content": [{"type": "thinking", "signature": "s"}]}
CITED = {"type": "citation", "url": "https://a.example", "title": "A", "start": 0, "end": 2}
IMAGE = {"type": "media", "index": 0, "kind": "image", "media_type": "image/png", "data": "YQ=="}
# What recorded streams have seldom or never: what the log may hold all the same.
MADE = [
    log_of(
        "a state of a call", [CALL, {**CALL, "arguments": ":1}", "provider_state": STATE}], finish_reason="tool_calls"
    ),
    log_of("a state alone", [{"type": "tool_call", "index": 0, "name": "f", "provider_state": STATE}]),
    log_of("calls whose indexes have gaps", [{**CALL, "index": 3}, {**CALL, "index": 1, "id": "d"}]),
    log_of(
        "calls in turn", [CALL, {**CALL, "index": 1, "id": "d"}, {"type": "tool_call", "index": 0, "arguments": ":1}"}]
    ),
    log_of("a custom call", [{"type": "custom_tool_call", "index": 0, "id": "c", "name": "f", "input": "x"}, "Hi"]),
    log_of(
        "states that replace each other",
        [{"type": "reasoning", "text": t, "provider_state": STATE} for t in ("a", "b", "")],
    ),
    log_of("citations", ["Hi", CITED, {**CITED, "url": "https://b.example"}, " you", CITED]),
    log_of("a citation before text", [CITED, "Hi"]),
    log_of("images", [IMAGE, {**IMAGE, "data": "Yg=="}, {**IMAGE, "index": 4}, "Hi"]),
    log_of("refused", ["Hi", {"type": "refusal", "text": "no"}, {"type": "refusal", "text": "!"}]),
    log_of("empty", []),
]
LOGS = [*recorded_logs(), *MADE]
COMPLETED = [log for log in LOGS if b'"status":"completed"' in log.elements[-1]]
_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def whole_of(log: Log) -> dict[str, Any]:
    """The message of the whole answer."""
    answer = Answer(JOB)
    answer.take(log.elements)
    message: dict[str, Any] = chat_completion(answer, JOB, "p/m", 1)["choices"][0]["message"]
    return message


@pytest.mark.parametrize("log", COMPLETED, ids=lambda log: log.name)
def test_a_chat_is_accumulated_to_the_whole_answer(log: Log) -> None:
    """Text, reasoning, refusal, calls, sources, images and what goes back to the provider are those of one answer."""
    fold = ChatStream(JOB, "p/m", 1, with_usage=True, path="/p")
    state: Any = ChatCompletionStreamState()
    for chunk in chunks_of(fold.opening() + fold.take(log.batch())):
        if chunk != "[DONE]":
            state.handle_chunk(construct_type(type_=ChatCompletionChunk, value=chunk))
    message = state.current_completion_snapshot.choices[0].message.to_dict()
    whole = whole_of(log)
    assert message["content"] == (whole["content"] or "")
    for name in ("refusal", "provider_state"):
        assert message.get(name) == whole.get(name)
    assert "".join(message.get("reasoning_content") or "").replace("\n", "") == (
        whole.get("reasoning_content") or ""
    ).replace("\n", "")
    for name in ("tool_calls", "annotations", "images"):
        made = [{key: value for key, value in each.items() if key != "index"} for each in message.get(name) or ()]
        for call in made if name == "tool_calls" else ():
            function = call.pop("function", None) or {}  # none in a custom call, which this accumulator does not know
            if function.pop("parsed_arguments", None) is None and function:
                call["function"] = {**function, "arguments": function["arguments"] or "{}"}
        assert made == whole.get(name, []), name


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
@pytest.mark.parametrize("is_background", [False, True])
def test_a_response_is_accumulated_to_its_last_event(log: Log, *, is_background: bool) -> None:
    """The SDK checks the order of events and joins them; the last event has the same items."""
    facts = ResponseFacts(JOB, "p/m", 1, {"origin": {"background": is_background}})
    fold = ResponsesStream(facts)
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    events = events_of(fold.opening() + fold.take(log.batch()))
    for event in events:
        state.handle_event(_EVENT.validate_python(event))
    last = events[-1]
    assert last["type"] in {"response.completed", "response.incomplete", "response.failed"}
    if last["type"] == "response.completed":
        assert [item["id"] for item in last["response"]["output"]] == [
            item.id for item in state._completed_response.output
        ]
