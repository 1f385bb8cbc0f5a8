"""A request as Anthropic's Messages want it: each field mapped, or refused at submission."""

import json
from typing import Any

import pytest

from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.dialects.anthropic.messages import Anthropic

ANTHROPIC = Anthropic("anthropic/*", "https://api.example", "sk-ant-key")


def request_of(**fields: Any) -> GenerationRequest:
    if "messages" not in fields:
        fields["prompt"] = "Hi"
    return parse_request(json.dumps(fields).encode())


def body_of(model: str = "claude-sonnet-4-6", **fields: Any) -> dict[str, Any]:
    """What is sent for a request with these fields, all of which the dialect has."""
    request = request_of(**fields)
    check_dialect(request, "anthropic")
    body: dict[str, Any] = json.loads(ANTHROPIC.call(request, f"anthropic/{model}").body)
    return body


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_conversation_with_tools_becomes_turns() -> None:
    """System texts go to the top, calls and their results into blocks, and the results of one turn into one turn."""
    body = body_of(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather, time?"},
            {
                "role": "assistant",
                "content": "I'll look.",
                "tool_calls": [call("toolu_1", "weather", '{"city": "Wien"}'), call("toolu_2", "time", "")],
            },
            {"role": "tool", "content": "rain", "tool_call_id": "toolu_1"},
            {"role": "tool", "content": [text("12"), text(":00")], "tool_call_id": "toolu_2"},
            {"role": "user", "content": "And?"},
            {"role": "system", "content": [text("Be briefer.")]},
        ]
    )
    assert body["system"] == [text("Be brief."), text("Be briefer.")]
    assert body["messages"] == [
        {"role": "user", "content": [text("Weather, time?")]},
        {
            "role": "assistant",
            "content": [
                text("I'll look."),
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Wien"}},
                {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("rain")]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [text("12"), text(":00")]},
                text("And?"),
            ],
        },
    ]


def test_an_empty_message_is_no_turn() -> None:
    """Anthropic refuses empty texts and empty turns; an empty result of a tool is one."""
    body = body_of(
        messages=[
            {"role": "system", "content": ""},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "Still there?"},
            {"role": "assistant", "content": "", "tool_calls": [call("c", "f", "{}")]},
            {"role": "tool", "content": "", "tool_call_id": "c"},
        ]
    )
    assert "system" not in body
    assert body["messages"] == [
        {"role": "user", "content": [text("Hi"), text("Still there?")]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]},
    ]


def test_another_provider_s_ids_are_made_acceptable() -> None:
    """A conversation may have begun elsewhere, with characters in its ids that are refused here."""
    body = body_of(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [call("functions.f:0", "f", "{}")]},
            {"role": "tool", "content": "x", "tool_call_id": "functions.f:0"},
        ]
    )
    assert body["messages"][1]["content"][0]["id"] == "functions_f_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_images_go_by_address_or_inline() -> None:
    """An address is passed on, never fetched here; a data URL becomes its bytes."""
    parts = [
        text("What is this?"),
        {"type": "image_url", "image_url": {"url": "https://images.example/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    assert body_of(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == [
        text("What is this?"),
        {"type": "image", "source": {"type": "url", "url": "https://images.example/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    ]


def test_sampling_and_limits_go_by_their_names_here() -> None:
    """`stop` is `stop_sequences`, and a list."""
    body = body_of(max_tokens=5, temperature=0.5, top_p=0.9, stop="END")
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (5, 0.5, 0.9)
    assert body["stop_sequences"] == ["END"]
    assert body_of(stop=["a", "b"])["stop_sequences"] == ["a", "b"]


def test_tools_go_with_a_schema_that_is_an_object() -> None:
    """Anthropic wants the schema and its type; `strict` only where it is asked for."""
    tools = [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "Does.",
                "parameters": {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "g", "strict": False}},
    ]
    assert body_of(tools=tools)["tools"] == [
        {
            "name": "f",
            "description": "Does.",
            "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            "strict": True,
        },
        {"name": "g", "input_schema": {"type": "object"}},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_a_tool_choice_goes_by_its_name_here(choice: Any, sent: dict[str, str]) -> None:
    """All four of them."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert body_of(tools=tools, tool_choice=choice)["tool_choice"] == sent


def test_a_schema_for_the_answer_is_its_format() -> None:
    """`json_schema` goes without its name, which Anthropic has no place for; `text` is what it is anyway."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    given = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert body_of(response_format=given)["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert "output_config" not in body_of(response_format={"type": "text"})


def test_what_is_extra_goes_beside_what_is_ours() -> None:
    """`extra` overrides none of our fields, and joins the options of the answer's form."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    body = body_of(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        extra={"top_k": 5, "output_config": {"effort": "max", "format": "mine"}, "stop_sequences": ["x"]},
        stop="END",
        metadata={"a": "b"},
    )
    assert body["top_k"] == 5
    assert body["output_config"] == {"effort": "max", "format": {"type": "json_schema", "schema": schema}}
    assert body["stop_sequences"] == ["END"]
    assert "metadata" not in body, "our metadata is not Anthropic's"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("seed", {"seed": 1}),
        ("temperature", {"temperature": 1.1}),
        ("temperature", {"temperature": 0.5, "reasoning_effort": "low"}),
        ("top_p", {"top_p": 0.9, "reasoning_effort": "low"}),
        ("response_format.type", {"response_format": {"type": "json_object"}}),
        ("stop", {"stop": ["END", "\n"]}),
    ],
)
def test_what_anthropic_has_not_is_refused_at_submission(field: str, fields: dict[str, Any]) -> None:
    """By name, before a job is made of it."""
    with pytest.raises(InvalidRequest) as raised:
        check_dialect(request_of(**fields), "anthropic")
    assert [fault.field for fault in raised.value.faults] == [field]


def test_what_goes_with_reasoning_is_not_refused() -> None:
    """The default temperature, a wide top_p, and anything where no reasoning is wanted."""
    check_dialect(request_of(temperature=1, top_p=0.95, reasoning_effort="high"), "anthropic")
    check_dialect(request_of(temperature=0.2, top_p=0.5, reasoning_effort="none"), "anthropic")
