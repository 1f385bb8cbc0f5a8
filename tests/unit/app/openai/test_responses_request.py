"""Responses' requests: items become messages, and every refusal has the name that the client's body has."""

import base64
import json
from typing import Any

import pytest

from app.openai.answer import Answer
from app.openai.body import fields_of
from app.openai.responses_items import Earlier, answer_message
from app.openai.responses_request import ResponsesRequest, responses_request
from tests.unit.app.openai.recorded_logs import JOB, log_of
from tokentail.errors import InvalidRequest
from tokentail.jobs.request import encode_request


def asked(
    dialect: str = "openai_responses", earlier: dict[str, Earlier] | None = None, **fields: Any
) -> ResponsesRequest:
    body = json.dumps({"model": "m", "input": "Hi", **fields}).encode()
    return responses_request(fields_of(body), "p/m", dialect, earlier or {})


def ours(dialect: str = "openai_responses", **fields: Any) -> dict[str, Any]:
    """The request as it is stored."""
    stored: dict[str, Any] = json.loads(encode_request(asked(dialect, **fields).request))
    return stored


def refused(dialect: str = "openai_responses", **fields: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as raised:
        asked(dialect, **fields)
    return [fault.field for fault in raised.value.faults]


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
CUSTOM = {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "plain"}
RESULTS = [
    {"type": "function_call_output", "call_id": "c", "output": "1"},
    {"type": "custom_tool_call_output", "call_id": "d", "output": "2"},
]
USER = {"role": "user", "content": "Hi"}


def test_calls_of_one_turn_are_one_message_each_of_its_kind() -> None:
    """A custom tool's call stays one: its input is no JSON."""
    messages = ours(input=[USER, CALL, CUSTOM, *RESULTS])["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert messages[1]["tool_calls"] == [
        {"id": "c", "function": {"name": "f", "arguments": "{}"}, "type": "function"},
        {"id": "d", "custom": {"name": "g", "input": "plain"}, "type": "custom"},
    ]


def test_an_earlier_answers_calls_come_back_each_of_its_kind() -> None:
    """The next turn of a conversation holds what the log has."""
    answer = Answer(JOB)
    pieces = [
        {"type": "tool_call", "index": 0, "id": "c", "name": "f", "arguments": ""},
        {"type": "custom_tool_call", "index": 1, "id": "d", "name": "g", "input": "plain"},
    ]
    answer.take(log_of("x", pieces).elements)
    message = answer_message(answer)
    assert message is not None
    assert [call.get("custom") or call["function"] for call in message["tool_calls"]] == [
        {"name": "f", "arguments": "{}"},
        {"name": "g", "input": "plain"},
    ]


def test_control_characters_are_taken_out_everywhere() -> None:
    """The output of a tool may have colours, which neither the model nor a stored item needs."""
    request = ours(
        instructions="\x1b[1mBe brief",
        input=[CALL, {**RESULTS[0], "output": "\x1b[31mred"}, {**USER, "content": "\x00a"}],
    )
    assert [message.get("content") for message in request["messages"]] == ["[1mBe brief", None, "[31mred", "a"]
    assert request["origin"]["input"][1]["output"] == "[31mred"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input": [USER, {**USER, "role": "nobody"}]}, "input[1]"),
        ({"instructions": "x", "input": [CALL, CUSTOM, {**USER, "role": 5}]}, "input[2]"),
        ({"input": [USER, {**CALL, "name": 5}, RESULTS[0]]}, "input[1]"),
        ({"input": [USER, {**CALL, "type": ["x"]}]}, "input[1].type"),
        ({"input": [{**USER, "content": [{"type": {}}]}]}, "input[0].content[0].type"),
        ({"tools": [{"type": "function", "name": 5}]}, "tools[0].name"),
        ({"tools": 5}, "tools"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "name": 5, "schema": {}}}}, "text.format.name"),
        ({"reasoning": {"effort": 0}}, "reasoning.effort"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"instructions": 0}, "instructions"),
        ({"include": [[]]}, "include[0]"),
        ({"user": 5}, "user"),
        ({"safety_identifier": "\ud800"}, "safety_identifier"),
        ({"user": "u" * 129}, "user"),
        ({"safety_identifier": {"name": "Ann"}}, "safety_identifier"),
        ({"background": True, "store": False}, "store"),
        ({"stream": "yes"}, "stream"),
    ],
)
@pytest.mark.parametrize("dialect", ["openai_responses", "openai_chat"])
def test_a_refusal_has_the_name_that_the_client_sent(dialect: str, fields: dict[str, Any], named: str) -> None:
    """Whatever our own request calls it, and wherever the item lies among our messages."""
    assert refused(dialect, **fields)[0].startswith(named)


def test_what_a_dialect_lacks_has_the_clients_name() -> None:
    """Images by address are refused where they lie in the input."""
    image = {"type": "input_image", "image_url": "https://example.org/a.png"}
    where = refused("ollama", instructions="x", input=[USER, {"role": "user", "content": [image]}])
    assert where == ["input[1].content[0].image_url.url"]
    assert refused("anthropic", text={"format": {"type": "json_object"}}) == ["text.format.type"]


@pytest.mark.parametrize(
    "secret", ["!", "e30=", base64.b64encode(b"[" * 100_000).decode(), 5, base64.b64encode(b"\xff").decode()]
)
def test_the_secret_of_another_service_is_left_out(secret: Any) -> None:
    """A program may send what another server gave it, however it is made."""
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": secret}
    assert ours(input=[USER, thought])["messages"][1] == {"role": "assistant", "content": "", "reasoning_content": "hm"}
