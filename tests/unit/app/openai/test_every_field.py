"""Every field of both bodies, at every depth, with every kind of wrong value: it is taken, or refused by its name."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from app.openai.body import fields_of
from app.openai.chat_request import chat_request
from app.openai.responses_request import responses_request
from tokentail.errors import InvalidRequest, MalformedBody
from tokentail.jobs.request import encode_request

IMAGE, FILE = "data:image/png;base64,YQ==", {"file_data": "data:application/pdf;base64,YQ==", "filename": "a.pdf"}
CALLS = [
    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}},
]
SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}
SHARED: dict[str, Any] = {
    "model": "p/m",
    **{"temperature": 1, "top_p": 0.5, "metadata": {"a": "b"}, "stream": True, "store": True, "service_tier": "auto"},
    **{"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "parallel_tool_calls": True},
}
CHAT = {
    **SHARED,
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
                {"type": "file", "file": FILE},
                {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}},
            ],
        },
        {"role": "assistant", "content": None, "refusal": "r", "reasoning_content": "q", "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "c", "content": "o"},
        {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "x"}]},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        {"type": "custom", "custom": {"name": "g"}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    **{"seed": 3, "stop": ["a"], "max_tokens": 5, "max_completion_tokens": 5, "reasoning_effort": "low", "n": 1},
    **{"stream_options": {"include_usage": True}, "logprobs": False, "modalities": ["text"], "verbosity": "low"},
    **{"logit_bias": {"5": 1}, "frequency_penalty": 0.1, "top_k": 5},
}
RESPONSES = {
    **SHARED,
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": IMAGE, "detail": "low"},
                {"type": "input_file", **FILE},
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "e30="},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
        {"type": "custom", "name": "g"},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", **SCHEMA}, "verbosity": "low"},
    **{"instructions": "i", "max_output_tokens": 4, "background": True, "truncation": "disabled"},
    **{"include": ["reasoning.encrypted_content"], "stream_options": {"include_obfuscation": True}},
}
# JSON as a client may write it; what Python's own encoder would not.
WRONG = (
    *("0", "-1", "1.5", "1e308", "1e400", "1" + "0" * 400, "1" + "0" * 5000, "18446744073709551616", "NaN", "true"),
    *("null", '""', r'"\ud800"', r'"x\udc00y"', r'"\u0000"', '"' + "x" * 70000 + '"', '"\u2028"', "[]", "{}", "[[]]"),
    *("[{}]", "[null]", '[1, "a", null, {}]', '{"a": {}}', r'{"\ud800": 1}', r'{"type": "\ud800"}', '{"type": []}'),
    *('{"": ""}', "[" * 300 + "]" * 300, '{"a":' * 200 + "1" + "}" * 200, '{"url": 5}', '"e30="', r'"resp_\ud800"'),
)
_MARK = "what is wrong"


def places_in(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The path of everything in a JSON value."""
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in found:
        yield (name,)
        yield from ((name, *rest) for rest in places_in(item))


def marked(body: dict[str, Any], place: tuple[str | int, ...]) -> str:
    """The body as JSON, with a mark at this place."""
    wrong = target = copy.deepcopy(body)
    for name in place[:-1]:
        target = target[name]  # type: ignore[index]
    target[place[-1]] = _MARK  # type: ignore[index]
    return json.dumps(wrong)


def refused_names(name: str, content: bytes, dialect: str) -> list[str]:
    """The fields that are refused; none when the body is taken and can be stored."""
    try:
        fields = fields_of(content)
        if name == "messages":
            asked: Any = chat_request(fields, "p/m", dialect)
        else:
            asked = responses_request(fields, "p/m", dialect, {})
        encode_request(asked.request)
    except MalformedBody:
        return [""]  # no JSON that could be stored, wherever the fault is
    except InvalidRequest as refused:
        names = [fault.field for fault in refused.faults]
        msgspec.json.encode([str(refused), names])
        assert all(names)
        return names
    return []


def without_what_is_refused(name: str, body: dict[str, Any], dialect: str) -> dict[str, Any]:
    """The body without the fields that models of this dialect do not take."""
    while names := refused_names(name, json.dumps(body).encode(), dialect):
        (first, *_) = re.split(r"[.\[]", names[0])
        body = {field: value for field, value in body.items() if field != first}
        if first == name:
            body[name] = [{"role": "user", "content": "Hi"}]
    return body


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic", "gemini", "ollama"])
@pytest.mark.parametrize("name", ["messages", "input"])
def test_a_wrong_value_is_taken_or_refused_by_its_field(name: str, dialect: str) -> None:
    """A refusal names the field that was wrong, and can be encoded as JSON; what is taken can be stored."""
    body = without_what_is_refused(name, CHAT if name == "messages" else RESPONSES, dialect)
    count = 0
    for place in places_in(body):
        template = marked(body, place)
        for wrong in WRONG:
            names = refused_names(name, template.replace(f'"{_MARK}"', wrong, 1).encode(), dialect)
            # Without a tool of its name, it is the choice that is wrong.
            expected = ("", str(place[0]), *(("tool_choice",) if place[0] == "tools" else ()))
            tops = {re.split(r"[.\[]", each)[0] for each in names}
            assert tops <= set(expected), (place, wrong[:40], names)
            count += bool(names)
    assert count > 300
