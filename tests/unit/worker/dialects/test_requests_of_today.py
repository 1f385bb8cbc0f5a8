"""Requests of today, in each dialect: newer roles, efforts and parts go by the names that the dialect has for them."""

import json
from typing import Any

import pytest

from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import parse_request
from worker.chunk import ProviderFailure
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.google.gemini import Gemini
from worker.dialects.ollama import Ollama
from worker.dialects.openai.chat import OpenAiChat
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.provider import HttpProvider

PROVIDERS: dict[str, HttpProvider] = {
    "anthropic": Anthropic("p/*", "https://api.example", "k"),
    "gemini": Gemini("p/*", "https://api.example", "k"),
    "ollama": Ollama("p/*", "https://api.example", "k"),
    "openai_chat": OpenAiChat("p/*", "https://api.example/v1", "k"),
    "openai_responses": OpenAiResponses("p/*", "https://api.example/v1", "k"),
}
PDF = "data:application/pdf;base64,aGk="
CALL = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}
MARK = {"type": "ephemeral"}
GRAMMAR = {"definition": "start: /a/", "syntax": "lark"}


def sent(dialect: str, model: str = "m", **fields: Any) -> Any:
    """The body that goes to the provider."""
    if "messages" not in fields:
        fields["prompt"] = "hi"
    request = parse_request(json.dumps(fields).encode())
    check_dialect(request, dialect)
    return json.loads(PROVIDERS[dialect].call(request, f"p/{model}").body)


def refused(dialect: str, **fields: Any) -> list[str]:
    """The fields that are refused at submission."""
    with pytest.raises(InvalidRequest) as raised:
        sent(dialect, **fields)
    return [fault.field for fault in raised.value.faults]


def part_as(dialect: str, part: dict[str, Any]) -> Any:
    """A part of the user's message as it is sent."""
    body = sent(dialect, messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, part]}])
    turn = body[{"gemini": "contents", "openai_responses": "input"}.get(dialect, "messages")][0]
    return turn["parts" if dialect == "gemini" else "content"][1]


def test_the_role_developer_is_the_system_where_a_dialect_has_no_such_role() -> None:
    """`developer` is the newer name of `system`."""
    turns = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert sent("openai_chat", messages=turns)["messages"][0]["role"] == "developer"
    assert sent("openai_responses", messages=turns)["input"][0]["role"] == "developer"
    assert sent("ollama", messages=turns)["messages"][0] == {"role": "system", "content": "be brief"}
    assert sent("anthropic", messages=turns)["system"] == [{"type": "text", "text": "be brief"}]
    assert [turn["role"] for turn in sent("anthropic", messages=turns)["messages"]] == ["user"]
    assert sent("gemini", messages=turns)["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert [turn["role"] for turn in sent("gemini", messages=turns)["contents"]] == ["user"]


@pytest.mark.parametrize("effort", ["xhigh", "max"])
def test_the_highest_efforts_are_those_that_the_dialect_has(effort: str) -> None:
    """As they are, or the highest one below."""
    assert sent("openai_chat", reasoning_effort=effort)["reasoning_effort"] == effort
    assert sent("openai_responses", reasoning_effort=effort)["reasoning"]["effort"] == effort
    assert sent("anthropic", reasoning_effort=effort)["output_config"] == {"effort": effort}
    assert sent("ollama", reasoning_effort=effort)["think"] == "high"
    older = sent("anthropic", "claude-haiku-4-5", reasoning_effort=effort)
    assert older["thinking"] == {"type": "enabled", "budget_tokens": 16000}, "half of max_tokens"


@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("gemini-3-flash-preview", "minimal", "minimal"),
        ("gemini-3.6-flash", "none", "minimal"),
        ("gemini-3.7-flash", "none", "low"),
        ("gemini-3.8-flash", "minimal", "low"),
        ("gemini-flash-latest", "minimal", "low"),
        ("gemini-4-hydrogen", "none", "low"),
        ("gemini-3-pro", "minimal", "low"),
        ("gemini-3-pro", "xhigh", "high"),
        ("gemini-3.8-flash", "max", "high"),
        ("gemini-4-hydrogen", "max", "xhigh"),
    ],
)
def test_gemini_gets_a_level_that_its_model_has(model: str, effort: str, level: str) -> None:
    """The lowest one is not the same in all of them."""
    config = sent("gemini", model, reasoning_effort=effort)["generationConfig"]["thinkingConfig"]
    assert config["thinkingLevel"] == level


def test_a_file_as_a_data_url_is_a_part_of_each_dialect_that_takes_files() -> None:
    """With its name, where there is a place for it."""
    part = {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}
    assert part_as("openai_chat", part) == part
    assert part_as("openai_responses", part) == {"type": "input_file", "file_data": PDF, "filename": "a.pdf"}
    assert part_as("gemini", part) == {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}
    assert part_as("anthropic", part) == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        "title": "a.pdf",
    }


def test_a_file_elsewhere_goes_by_its_address_or_id() -> None:
    """Nothing is fetched here."""
    url = {"type": "file", "file": {"file_url": "https://a.example/b.pdf"}}
    kept = {"type": "file", "file": {"file_id": "file-1"}}
    assert part_as("anthropic", url)["source"] == {"type": "url", "url": "https://a.example/b.pdf"}
    assert part_as("anthropic", kept)["source"] == {"type": "file", "file_id": "file-1"}
    assert part_as("openai_responses", url) == {"type": "input_file", "file_url": "https://a.example/b.pdf"}
    assert part_as("openai_responses", kept) == {"type": "input_file", "file_id": "file-1"}
    assert part_as("openai_chat", kept) == kept
    assert part_as("gemini", url) == {"fileData": {"fileUri": "https://a.example/b.pdf", "mimeType": "application/pdf"}}
    assert part_as("gemini", kept) == {"fileData": {"fileUri": "file-1"}}


def test_a_text_file_is_text_for_anthropic() -> None:
    """Anthropic's API takes base64 of PDFs only."""
    part = {"type": "file", "file": {"file_data": "data:text/plain;charset=utf-8;base64,aMOp"}}
    assert part_as("anthropic", part)["source"] == {"type": "text", "media_type": "text/plain", "data": "hé"}
    broken = {"type": "file", "file": {"file_data": "data:text/plain;base64,/////w=="}}
    with pytest.raises(ProviderFailure, match="UTF-8"):
        part_as("anthropic", broken)


def test_a_recording_is_a_part_of_each_dialect_that_hears() -> None:
    """In its own form there."""
    part = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    assert part_as("openai_chat", part) == part
    assert part_as("openai_responses", part) == part
    assert part_as("gemini", part) == {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}


@pytest.mark.parametrize(
    ("dialect", "part", "field"),
    [
        ("ollama", {"type": "file", "file": {"file_data": PDF}}, ""),
        ("ollama", {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, ""),
        ("anthropic", {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, ""),
        ("openai_chat", {"type": "file", "file": {"file_url": "https://a.example/b.pdf"}}, ".file.file_url"),
    ],
)
def test_a_part_that_a_dialect_has_no_place_for_is_refused(dialect: str, part: dict[str, Any], field: str) -> None:
    """At submission, by its place."""
    turns = [{"role": "user", "content": [part]}]
    assert refused(dialect, messages=turns) == [f"messages[0].content[0]{field}"]


def test_an_image_may_be_wanted_in_its_original_size() -> None:
    """`detail: original` is OpenAI's."""
    part = {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "original"}}
    assert part_as("openai_chat", part) == part
    assert part_as("openai_responses", part)["detail"] == "original"


def test_marks_for_the_cache_go_where_a_dialect_has_them() -> None:
    """On parts, on whole messages and on tools; elsewhere they are left out."""
    turns = [
        {"role": "system", "content": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a", "cache_control": MARK}, {"type": "text", "text": "b"}],
        },
    ]
    tools = [{"type": "function", "function": {"name": "f"}, "cache_control": MARK}]
    body = sent("anthropic", messages=turns, tools=tools)
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert [block.get("cache_control") for block in body["messages"][0]["content"]] == [MARK, None]
    assert body["tools"][0]["cache_control"] == MARK
    assert "cache_control" in json.dumps(sent("openai_chat", messages=turns, tools=tools))
    for dialect in ("gemini", "ollama", "openai_responses"):
        assert "cache_control" not in json.dumps(sent(dialect, messages=turns, tools=tools))


def test_tools_that_the_provider_runs_are_passed_through() -> None:
    """Beside functions, in their order, with all of their options."""
    function = {"type": "function", "function": {"name": "f"}}
    search = {"type": "web_search", "search_context_size": "low", "filters": {"allowed_domains": ["a.example"]}}
    assert sent("openai_chat", tools=[function, search])["tools"] == [function, search]
    assert sent("openai_responses", tools=[search, function])["tools"][0] == search
    claude = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "cache_control": MARK}
    assert sent("anthropic", tools=[claude, function])["tools"][0] == claude
    declared = {"functionDeclarations": [{"name": "f"}]}
    native: list[dict[str, Any]] = [{"google_search": {}}, {"googleSearch": {}}, {"type": "google_search"}]
    for tool in native:
        assert sent("gemini", tools=[tool, function])["tools"] == [declared, {"googleSearch": {}}]
    assert refused("ollama", tools=[function, search]) == ["tools[1].type"]
    assert refused("openai_chat", tools=[{"google_search": {}}]) == ["tools[0].type"]


def test_custom_tools_are_tools_of_both_of_openai_s_newer_dialects() -> None:
    """In either form of the request; other providers have none."""
    nested = {
        "type": "custom",
        "custom": {"name": "c", "description": "d", "format": {"type": "grammar", "grammar": GRAMMAR}},
    }
    flat = {"type": "custom", "name": "c", "description": "d", "format": {"type": "grammar", **GRAMMAR}}
    assert sent("openai_chat", tools=[nested])["tools"] == [nested]
    assert sent("openai_responses", tools=[nested])["tools"] == [flat]
    assert sent("openai_responses", tools=[flat])["tools"] == [flat]
    assert sent("openai_chat", tools=[flat])["tools"] == [nested]
    choice = {"type": "custom", "custom": {"name": "c"}}
    assert sent("openai_chat", tools=[nested], tool_choice=choice)["tool_choice"] == choice
    assert sent("openai_responses", tools=[nested], tool_choice=choice)["tool_choice"] == {
        "type": "custom",
        "name": "c",
    }
    for dialect in ("anthropic", "gemini", "ollama"):
        assert refused(dialect, tools=[nested]) == ["tools[0].custom"]


def test_a_custom_tool_s_call_goes_back_with_its_result() -> None:
    """As items of their own in Responses."""
    call = {"id": "c1", "type": "custom", "custom": {"name": "c", "input": "aa"}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    ]
    assert sent("openai_chat", messages=turns)["messages"] == turns
    assert sent("openai_responses", messages=turns)["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "c", "input": "aa"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "7"},
    ]
    assert refused("gemini", messages=turns) == ["messages[1].tool_calls[0].custom"]


WRONG_PARTS: list[tuple[str, dict[str, Any]]] = [
    ("content[0].file", {"content": [{"type": "file", "file": {}}]}),
    ("content[0].file.file_data", {"content": [{"type": "file", "file": {"file_data": "data:x;base64,!"}}]}),
    ("content[0]", {"role": "system", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
    ("cache_control.type", {"content": "a", "cache_control": {"type": "for ever"}}),
    ("tool_calls[0].custom", {"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}),
    ("reasoning_content", {"content": "a", "reasoning_content": "b"}),
    ("reasoning", {"role": "assistant", "content": "a", "reasoning": "b"}),
    ("provider_state.dialect", {"role": "assistant", "content": "a", "provider_state": {}}),
    (
        "provider_state.blocks",
        {"role": "assistant", "content": "a", "provider_state": {"dialect": "anthropic", "blocks": [1]}},
    ),
]


@pytest.mark.parametrize(("field", "message"), WRONG_PARTS)
def test_a_wrong_part_of_a_message_is_named(field: str, message: dict[str, Any]) -> None:
    """Unknown fields and wrong ones, however deep they are."""
    assert refused("openai_chat", messages=[{"role": "user", **message}]) == [f"messages[0].{field}"]


CUSTOM = {"type": "custom", "custom": {"name": "c"}}


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("tools[0].type", {"tools": [{"type": "web search"}]}),
        ("tools[0].custom.odd", {"tools": [{"type": "custom", "custom": {"name": "c", "odd": 1}}]}),
        ("tools[0].name", {"tools": [{"type": "function", "name": "f"}]}),
        ("tools[0].google_search", {"tools": [{"google_search": 1}]}),
        ("tool_choice.custom", {"tools": [CUSTOM], "tool_choice": {"type": "custom"}}),
        ("tool_choice.custom.name", {"tools": [{"function": {"name": "c"}}], "tool_choice": CUSTOM}),
    ],
)
def test_a_wrong_tool_is_named(field: str, fields: dict[str, Any]) -> None:
    """By its place in the list."""
    assert refused("openai_chat", **fields) == [field]
