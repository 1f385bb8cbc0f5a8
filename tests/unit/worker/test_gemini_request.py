"""The provider `gemini`, from a request to a call."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.unit.worker.recorded_streams import REQUEST
from tokentail.jobs.request import parse_request
from worker.chunk import ProviderFailure
from worker.dialects.google.gemini import Gemini

GEMINI = Gemini("gemini/*", "https://gemini.example/", "secret-key-of-ours")
TOOLS = [{"function": {"name": "f"}}, {"function": {"name": "g"}}]


def body_of(model: str = "gemini/gemini-2.5-flash", **fields: Any) -> dict[str, Any]:
    request = parse_request(json.dumps(fields).encode())
    body: dict[str, Any] = json.loads(GEMINI.call(request, model).body)
    return body


def test_the_call_asks_for_a_stream_of_events() -> None:
    """The request as Google wants it; what is not given is not sent."""
    call = GEMINI.call(REQUEST, "gemini/gemini-2.5-flash")
    assert call.url == "https://gemini.example/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert call.headers["x-goog-api-key"] == "secret-key-of-ours"
    assert call.headers["Accept-Encoding"] == "identity"
    assert json.loads(call.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Tell me of the sea, at length."}]}]
    }
    assert "secret" not in f"{GEMINI!r} {call!r}"


def test_a_server_without_a_key_is_sent_none() -> None:
    """A proxy may hold the key itself."""
    assert "x-goog-api-key" not in Gemini("gemini/*", "http://127.0.0.1:1", "").call(REQUEST, "gemini/m").headers


@pytest.mark.parametrize("base_url", ["https://g.example/v1beta", "https://g.example/v1beta/", "https://g.example"])
def test_an_address_may_name_the_version(base_url: str) -> None:
    """Other programs' settings do."""
    assert (
        Gemini("gemini/*", base_url, "").call(REQUEST, "gemini/m").url.startswith("https://g.example/v1beta/models/m:")
    )


@pytest.mark.parametrize(
    "name",
    ["../../../v1/files", "..", "a/../b", "m?key=x", "m#x", "m:generateContent?", "//evil.example/x", "@evil.example",
     "%2e%2e%2f", "a b", "é\u2028", "\\\\evil", "m;x", ""],
)  # fmt: skip
def test_no_model_s_name_changes_the_path_or_the_host(name: str) -> None:
    """A model's name is one segment of the path, also after the library has prepared the address."""
    url = requests.Request("POST", GEMINI.call(REQUEST, f"gemini/{name}").url).prepare().url
    parts = urlsplit(str(url))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "gemini.example", "alt=sse", "")
    before, version, models, segment = parts.path.split("/")
    assert (before, version, models) == ("", "v1beta", "models")
    assert segment.endswith(":streamGenerateContent")
    assert segment.count(":") == 1


def test_the_whole_name_of_a_model_is_taken_too() -> None:
    """Google's own lists have it with `models/` before it."""
    url = GEMINI.call(REQUEST, "gemini/models/gemini-2.5-flash").url
    assert "/v1beta/models/gemini-2.5-flash:" in url


def test_the_call_carries_every_option() -> None:
    """Each by Google's name for it."""
    sent = body_of(
        prompt="x",
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        stop="END",
        seed=7,
        tools=[{"function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}}],
        tool_choice="auto",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        reasoning_effort="medium",
    )
    assert sent == {
        "contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "generationConfig": {
            "maxOutputTokens": 5,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
            "seed": 7,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 8192},
        },
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "g"}}, {"mode": "ANY", "allowedFunctionNames": ["g"]}),
    ],
)
def test_a_choice_of_tools_is_mapped(choice: Any, expected: dict[str, Any]) -> None:
    """One by name is the only one allowed."""
    assert body_of(prompt="x", tools=TOOLS, tool_choice=choice)["toolConfig"]["functionCallingConfig"] == expected


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-flash", "none", {"includeThoughts": False, "thinkingBudget": 0}),
        ("gemini-2.5-pro", "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-3-flash-preview", "none", {"includeThoughts": False, "thinkingLevel": "minimal"}),
        ("gemini-3.1-pro-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3.1-pro-preview", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-flash-latest", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-12-flash", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
    ],
)
def test_how_hard_to_think_is_mapped(model: str, effort: str, expected: dict[str, Any]) -> None:
    """In tokens before Gemini 3, in words since; a model that cannot be kept from thinking thinks the least it can."""
    sent = body_of(f"gemini/{model}", prompt="x", reasoning_effort=effort)
    assert sent["generationConfig"] == {"thinkingConfig": expected}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stop": ["a", "b"]}, {"generationConfig": {"stopSequences": ["a", "b"]}}),
        ({"response_format": {"type": "json_object"}}, {"generationConfig": {"responseMimeType": "application/json"}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"extra": {"safetySettings": [1], "labels": {"a_b": "c"}}}, {"safetySettings": [1], "labels": {"a_b": "c"}}),
        ({"extra": {"generationConfig": {"topK": 4}}}, {"generationConfig": {"topK": 4}}),
        (
            {"seed": 1, "extra": {"generation_config": {"top_k": 4, "seed": 2, "candidate_count": 3}}},
            {"generationConfig": {"topK": 4, "seed": 1}},
        ),
    ],
)
def test_extra_goes_beside_what_is_ours(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """In either spelling, and overrides none of it; there is only ever one candidate."""
    sent = body_of(prompt="x", **fields)
    del sent["contents"]
    assert sent == expected


def conversation(model: str) -> dict[str, Any]:
    return body_of(
        model,
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                    {"type": "image_url", "image_url": {"url": "https://a.example/b.JPG?size=1"}},
                    {"type": "image_url", "image_url": {"url": "https://a.example/x.png/unknown.txt"}},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {"id": "c1", "function": {"name": "f", "arguments": '{"a": [1]}'}},
                    {"id": "c2", "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"role": "tool", "content": "two", "tool_call_id": "c2"},
            {"role": "tool", "content": '{"one": 1}', "tool_call_id": "c1"},
            {"role": "system", "content": "And kind."},
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": ""},
        ],
    )


def test_a_conversation_with_tools_and_images_is_mapped() -> None:
    """The results of one turn's calls are one turn; instructions have a place of their own."""
    sent = conversation("gemini/gemini-2.5-flash")
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "And kind."}]}
    assert sent["contents"] == [
        {
            "role": "user",
            "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"fileData": {"fileUri": "https://a.example/b.JPG?size=1", "mimeType": "image/jpeg"}},
                {"fileData": {"fileUri": "https://a.example/x.png/unknown.txt"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {"functionCall": {"id": "c1", "name": "f", "args": {"a": [1]}}},
                {"functionCall": {"id": "c2", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c2", "name": "g", "response": {"output": "two"}}},
                {"functionResponse": {"id": "c1", "name": "f", "response": {"output": '{"one": 1}'}}},
            ],
        },
        {"role": "user", "parts": [{"text": "Go on."}]},
        {"role": "model", "parts": [{"text": ""}]},
    ]


@pytest.mark.parametrize("url", ["https://[", "http://", "https://a.example/%00.webp", "https://a.example:port/x"])
def test_an_odd_address_of_an_image_is_the_provider_s_to_refuse(url: str) -> None:
    """The image's address is passed on, never fetched."""
    image = {"type": "image_url", "image_url": {"url": url}}
    parts = body_of(messages=[{"role": "user", "content": [image]}])["contents"][0]["parts"]
    assert parts[0]["fileData"]["fileUri"] == url


def test_newer_models_get_a_signature_with_every_earlier_call() -> None:
    """Newer models refuse earlier calls without a signature; no client keeps it, so Google's placeholder is sent."""
    parts = conversation("gemini/gemini-3-pro-preview")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, *["skip_thought_signature_validator"] * 2]


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "[secret]"}}]},
        {"role": "tool", "content": "secret", "tool_call_id": "c9"},
    ],
)
def test_what_cannot_be_put_into_the_call_is_rejected(turn: dict[str, Any]) -> None:
    """Arguments that are no object, and the result of a call that the conversation does not hold."""
    with pytest.raises(ProviderFailure, match="rejected") as raised:
        body_of(messages=[turn])
    assert "secret" not in str(raised.value)
    assert not raised.value.failure.is_retryable


def test_the_latest_call_with_an_id_is_the_one_that_a_result_answers() -> None:
    """An id may occur in several turns, because our ids are made of the function's name."""
    turns = [
        turn
        for name in ("f", "g")
        for turn in (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": name, "arguments": "{}"}}]},
            {"role": "tool", "content": "x", "tool_call_id": "c"},
        )
    ]
    contents = body_of(messages=turns)["contents"]
    assert [content["parts"][0]["functionResponse"]["name"] for content in contents[1::2]] == ["f", "g"]
