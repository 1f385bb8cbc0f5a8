"""The second turn of a tool loop: what an answer gave for it goes back to a provider of its own dialect alone."""

from typing import Any

import pytest

from tests.unit.worker.dialects.test_requests_of_today import sent

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
THOUGHT = {"type": "thinking", "thinking": "plan\x1b", "signature": "abc"}
REASONING = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "ENC"}
STATES: dict[str, dict[str, Any]] = {
    "anthropic": {"dialect": "anthropic", "blocks": [THOUGHT, {"type": "redacted_thinking", "data": "x"}]},
    "openai_responses": {"dialect": "openai_responses", "items": [REASONING]},
    "gemini": {"dialect": "gemini", "parts": [{"text": "plan", "thought": True, "thoughtSignature": "c2ln"}]},
    "openai_chat": {
        "dialect": "openai_chat",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
        "thinking_blocks": [THOUGHT],
    },
}


def loop(call: dict[str, Any] | None = None, **said: Any) -> list[dict[str, Any]]:
    """The messages of the second request."""
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, **(call or {})}], **said},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    ]


def test_claude_gets_its_thinking_back_before_its_calls() -> None:
    """Unchanged: the signature covers each character."""
    content = sent("anthropic", messages=loop(provider_state=STATES["anthropic"]))["messages"][1]["content"]
    assert content == [*STATES["anthropic"]["blocks"], {"type": "tool_use", "id": "c1", "name": "f", "input": {}}]


def test_blocks_of_claude_stand_where_the_answer_had_them() -> None:
    """Text and calls that its state has are not sent twice."""
    said, used = {"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    turns = loop(provider_state={"dialect": "anthropic", "blocks": [said, used, THOUGHT]}, content="Let me look. So.")
    turns[1]["tool_calls"].append({**CALL, "id": "c2"})
    rest = [{"type": "text", "text": " So."}, {**used, "id": "c2"}]
    assert sent("anthropic", messages=turns)["messages"][1]["content"] == [said, used, THOUGHT, *rest]


def test_claude_with_a_budget_thinks_on_amid_its_tools() -> None:
    """The API forbids that only where the thinking before the call is missing."""
    known = loop(provider_state=STATES["anthropic"])
    model = "claude-haiku-4-5"
    assert sent("anthropic", model, messages=known, reasoning_effort="low")["thinking"]["type"] == "enabled"
    assert "thinking" not in sent("anthropic", model, messages=loop(), reasoning_effort="low")


def test_responses_get_their_reasoning_items_back_before_the_call() -> None:
    """The request asks for encrypted reasoning, because nothing is kept at the provider."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = sent("openai_responses", messages=loop(provider_state=STATES["openai_responses"]), tools=tools)
    assert [item["type"] for item in body["input"]] == ["message", "reasoning", "function_call", "function_call_output"]
    assert body["input"][1] == REASONING
    assert body["include"] == ["reasoning.encrypted_content"]
    wanted = sent("openai_responses", tools=tools, extra={"include": ["web_search_call.results"]})["include"]
    assert wanted == ["web_search_call.results", "reasoning.encrypted_content"]


def test_items_of_responses_stand_where_the_answer_had_them() -> None:
    """Reasoning between two calls stays between them, and nothing is sent twice."""
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]}
    first = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{}"}
    state = {"dialect": "openai_responses", "items": [said, first, REASONING]}
    turns = loop(provider_state=state, content="Let me look.")
    turns[1]["tool_calls"].append({**CALL, "id": "c2"})
    second = {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"}
    assert sent("openai_responses", messages=turns)["input"][1:-1] == [said, first, REASONING, second]
    turns[1]["content"] = "Changed."
    changed = {"type": "message", "role": "assistant", "content": "Changed."}
    assert sent("openai_responses", messages=turns)["input"][1:-1] == [first, REASONING, changed, second]


def test_a_reasoning_item_that_the_provider_does_not_keep_is_left_out() -> None:
    """By its id alone it would not be found."""
    bare = {"dialect": "openai_responses", "items": [{"type": "reasoning", "id": "rs", "summary": []}]}
    items = sent("openai_responses", messages=loop(provider_state=bare))["input"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]


def test_gemini_gets_the_signature_of_each_call_back() -> None:
    """Without one, what Google documents for that stands in its place."""
    signed = {"provider_state": {"dialect": "gemini", "thoughtSignature": "c2ln"}}
    (part,) = sent("gemini", "gemini-3-pro", messages=loop(signed))["contents"][1]["parts"]
    assert part["thoughtSignature"] == "c2ln"
    (part,) = sent("gemini", "gemini-3-pro", messages=loop())["contents"][1]["parts"]
    assert part["thoughtSignature"] == "skip_thought_signature_validator"
    signs = {"text": "", "thoughtSignature": "dGV4dA=="}
    state = {"dialect": "gemini", "parts": [signs, *STATES["gemini"]["parts"]]}
    parts = sent("gemini", messages=loop(signed, provider_state=state, content="Hm."))["contents"][1]["parts"]
    assert parts[:3] == [*STATES["gemini"]["parts"], {"text": "Hm."}, signs]


def test_of_gemini_s_calls_at_once_only_the_signed_one_is_signed() -> None:
    """Google signs the first alone."""
    signed = {**CALL, "provider_state": {"dialect": "gemini", "thoughtSignature": "c2ln"}}
    turns = loop()
    turns[1]["tool_calls"] = [signed, {**CALL, "id": "c2"}]
    parts = sent("gemini", "gemini-3-pro", messages=turns)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["c2ln", None]


def test_servers_of_chat_completions_get_reasoning_back_by_the_names_it_had() -> None:
    """`reasoning_content`, `reasoning_details`, and the `extra_content` of a call."""
    extra = {"provider_state": {"dialect": "openai_chat", "extra_content": {"google": {"thought_signature": "x"}}}}
    turns = loop(extra, reasoning_content="plan", provider_state=STATES["openai_chat"])
    message = sent("openai_chat", messages=turns)["messages"][1]
    assert message["reasoning_content"] == "plan"
    assert {**STATES["openai_chat"], **message} == {**message, "dialect": "openai_chat"}
    assert message["tool_calls"] == [{**CALL, "extra_content": {"google": {"thought_signature": "x"}}}]
    assert "provider_state" not in message
    assert "reasoning_content" not in sent("openai_chat", messages=loop(reasoning_content=""))["messages"][1]


def test_ollama_gets_its_thinking_back() -> None:
    """Models that think between calls go on from it."""
    assert sent("ollama", messages=loop(reasoning_content="plan"))["messages"][1]["thinking"] == "plan"


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "ollama", "openai_chat", "openai_responses"])
@pytest.mark.parametrize("origin", [*STATES, "tomorrow"])
def test_a_state_of_another_dialect_is_left_out(dialect: str, origin: str) -> None:
    """A conversation may go on with another provider."""
    state = STATES.get(origin, {"dialect": origin, "anything": 1})
    foreign = loop({"provider_state": {"dialect": origin, "thoughtSignature": "c2ln"}}, provider_state=state)
    if dialect != origin:
        assert sent(dialect, messages=foreign) == sent(dialect, messages=loop())
