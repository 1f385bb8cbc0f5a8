"""What Anthropic's models are asked a second time, because they differ: how to think, and how many tokens to give."""

import json
from typing import Any

import pytest

from tests.unit.worker.recorded_streams import PlayedAnswer, PlayedTransport, recorded
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.chunk import ProviderFailure
from worker.dialects.anthropic.messages import Anthropic
from worker.upstream.source import open_chunks

ANTHROPIC = Anthropic("anthropic/*", "https://api.example", "sk-ant-key")
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
NO_ADAPTIVE = "adaptive thinking is not supported on this model"
NO_EFFORT = "This model does not support the effort parameter."
NO_BUDGET = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
NO_DISABLED = '"thinking.type.disabled" is not supported for this model.'


def request_of(**fields: Any) -> GenerationRequest:
    if "messages" not in fields:
        fields["prompt"] = "Hi"
    return parse_request(json.dumps(fields).encode())


def bodies(model: str, complaints: list[str], **fields: Any) -> list[dict[str, Any]]:
    """The bodies that are sent to a server that complains so, and then answers."""
    refused = [
        PlayedAnswer(
            [json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": words}}).encode()],
            status=400,
        )
        for words in complaints
    ]
    transport = PlayedTransport(*refused, PlayedAnswer([recorded("text", "anthropic")[0]]))
    with open_chunks(ANTHROPIC, request_of(**fields), f"anthropic/{model}", transport) as lists:
        list(lists)
    return [json.loads(call.body) for call in transport.calls]


def thinking(body: dict[str, Any]) -> tuple[Any, Any]:
    return body.get("thinking"), body.get("output_config")


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-sonnet-4-6", "claude-haiku-5-5", "claude-opus-4-10", "x"])
def test_a_newer_model_thinks_adaptively(model: str) -> None:
    """With the effort, and so that its thoughts are shown."""
    (body,) = bodies(model, [], reasoning_effort="medium")
    assert thinking(body) == (ADAPTIVE, {"effort": "medium"})
    (body,) = bodies(model, [], reasoning_effort="minimal")
    assert thinking(body) == (ADAPTIVE, {"effort": "low"})


@pytest.mark.parametrize(
    "model",
    [
        *("claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "claude-opus-4-0", "claude-opus-4-1-20250805"),
        *("claude-haiku-4-5", "anthropic.claude-opus-4-5-20251101-v1:0", "claude-sonnet-4", "claude-opus-4@20250514"),
    ],
)
def test_an_older_model_thinks_within_a_budget(model: str) -> None:
    """Which is below max_tokens, so that something is left for the answer."""
    (body,) = bodies(model, [], reasoning_effort="high")
    assert thinking(body) == ({"type": "enabled", "budget_tokens": 16000}, None)
    (body,) = bodies(model, [], reasoning_effort="high", max_tokens=3000)
    assert thinking(body) == ({"type": "enabled", "budget_tokens": 1500}, None)
    (body,) = bodies(model, [], reasoning_effort="high", max_tokens=2047)
    assert thinking(body) == (None, None), "less than 1024 tokens are no budget"


def test_who_is_not_to_think_is_told_so() -> None:
    """Older models do not unless they are asked to; some newer ones do, and some refuse the field."""
    assert thinking(bodies("claude-haiku-4-5", [], reasoning_effort="none")[0]) == (None, None)
    told, untold = bodies("claude-fable-5", [NO_DISABLED], reasoning_effort="none")
    assert thinking(told) == ({"type": "disabled"}, None)
    assert thinking(untold) == (None, None)
    assert thinking(bodies("claude-fable-5", [])[0]) == (None, None), "nothing is said where nothing was asked"


def test_a_model_that_knows_no_effort_is_given_a_budget_and_then_nothing() -> None:
    """One step at a time; other options stay."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    sent = bodies("new-model", [NO_ADAPTIVE, NO_BUDGET], reasoning_effort="high", response_format=form)
    output = {"format": {"type": "json_schema", "schema": schema}}
    assert [thinking(body) for body in sent] == [
        (ADAPTIVE, {**output, "effort": "high"}),
        ({"type": "enabled", "budget_tokens": 16000}, output),
        (None, output),
    ]


def test_a_server_that_goes_on_complaining_is_not_asked_for_ever() -> None:
    """Thinking is simplified twice; then the refusal is the answer."""
    with pytest.raises(ProviderFailure, match="rejected"):
        bodies("new-model", [NO_EFFORT] * 3, reasoning_effort="low")
    with pytest.raises(ProviderFailure, match="rejected"):
        bodies("claude-haiku-4-5", [NO_BUDGET] * 2, reasoning_effort="low")


def test_who_has_to_use_a_tool_does_not_think() -> None:
    """The API allows no thinking then; the effort alone is allowed where it is known."""
    forced: dict[str, Any] = {"tools": TOOLS, "tool_choice": "required", "reasoning_effort": "low"}
    sent = bodies("new-model", [NO_EFFORT], **forced)
    assert [thinking(body) for body in sent] == [(None, {"effort": "low"}), (None, None)]
    assert thinking(bodies("claude-haiku-4-5", [], **forced)[0]) == (None, None)


def test_an_older_model_does_not_think_on_after_its_tools() -> None:
    """An older model would want the signature of its earlier thoughts, which no client keeps; newer ones do without."""
    messages = [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "x", "tool_call_id": "c"},
    ]
    asked: dict[str, Any] = {"messages": messages, "tools": TOOLS, "reasoning_effort": "low"}
    assert thinking(bodies("claude-haiku-4-5", [], **asked)[0]) == (None, None)
    assert thinking(bodies("claude-sonnet-4-6", [], **asked)[0]) == (ADAPTIVE, {"effort": "low"})


@pytest.mark.parametrize(
    "extra",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 7777}},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        {"output_config": "nonsense"},
        {"thinking": 5},
    ],
)
def test_what_the_client_asks_for_itself_is_not_amended(extra: dict[str, Any]) -> None:
    """A field that the client set itself is kept, and the client receives the provider's own message about it."""
    with pytest.raises(ProviderFailure, match="thinking"):
        bodies("new-model", [NO_BUDGET], extra=extra)


@pytest.mark.parametrize(
    ("complaint", "limit"),
    [
        ("max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku", 8192),
        ("input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length", 10000),
    ],
)
def test_a_default_that_is_too_large_is_lowered(complaint: str, limit: int) -> None:
    """The number is ours, and so is the budget within it; both become what the model allows."""
    first, second = bodies("claude-haiku-4-5", [complaint], reasoning_effort="high")
    assert (first["max_tokens"], first["thinking"]["budget_tokens"]) == (32_000, 16000)
    assert (second["max_tokens"], second["thinking"]["budget_tokens"]) == (limit, limit // 2)
    with pytest.raises(ProviderFailure, match="rejected"):
        bodies("claude-haiku-4-5", [complaint, complaint])


def test_a_client_s_own_limit_is_not_lowered() -> None:
    """A client that set a higher limit receives the provider's complaint."""
    complaint = "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens"
    with pytest.raises(ProviderFailure, match="8192"):
        bodies("claude-haiku-4-5", [complaint], max_tokens=9000)


def test_a_budget_that_no_longer_fits_goes() -> None:
    """A small rest of the context is the answer's."""
    complaint = "input length and `max_tokens` exceed context limit: 199000 + 32000 > 200000"
    _, second = bodies("claude-haiku-4-5", [complaint], reasoning_effort="low", extra={"top_k": 3})
    assert (second["max_tokens"], thinking(second), second["top_k"]) == (1000, (None, None), 3)
