"""Whatever JSON OpenAI's bodies hold, it makes a request or a refusal that names a field, never a fault."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.openai.body import fields_of
from app.openai.chat_request import ChatRequest, chat_request
from app.openai.responses_request import ResponsesRequest, responses_request
from tokentail.errors import InvalidRequest, MalformedBody
from tokentail.jobs.request import encode_request

_NAMES = st.sampled_from(
    [
        *("type", "role", "content", "text", "id", "name", "arguments", "input", "output", "call_id", "tool_calls"),
        *("function", "custom", "image_url", "url", "summary", "encrypted_content", "refusal", "format", "schema"),
        *("effort", "include_usage", "parameters", "file_data", "tool_call_id", "provider_state", "\ud800", "\x00"),
    ]
)
_WORDS = st.sampled_from(
    [
        *("message", "user", "assistant", "tool", "text", "input_text", "output_text", "input_image", "input_file"),
        *("function", "custom", "function_call", "custom_tool_call", "function_call_output", "reasoning", "refusal"),
        *("item_reference", "json_schema", "e30=", "{}", "", "\ud800", "\x00", "x" * 300),
    ]
)
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _WORDS
_VALUES = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    [
        *("messages", "input", "tools", "tool_choice", "response_format", "text", "reasoning", "include", "stop"),
        *("instructions", "previous_response_id", "user", "metadata", "stream", "stream_options", "store", "n"),
        *("max_tokens", "temperature", "background", "truncation", "logit_bias", "origin", "\ud800"),
    ]
)
_DIALECTS = st.sampled_from(["openai_chat", "openai_responses", "anthropic", "gemini", "ollama", "demo"])


def _responses_request(fields: dict[str, Any], model: str, dialect: str) -> ResponsesRequest:
    return responses_request(fields, model, dialect, {})


@given(st.dictionaries(_FIELDS, _VALUES, max_size=5), _DIALECTS)
def test_every_body_is_taken_or_refused(fields: dict[str, Any], dialect: str) -> None:
    """What is taken can be stored, and what is refused has a response in JSON."""
    messages = {"messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}
    maps: dict[str, Callable[..., ChatRequest | ResponsesRequest]] = {
        "messages": chat_request,
        "input": _responses_request,
    }
    for name, ask in maps.items():
        body = json.dumps({name: messages[name], **fields}).encode()
        with suppress(MalformedBody):
            try:
                encode_request(ask(fields_of(body), "p/m", dialect).request)
            except InvalidRequest as refused:
                msgspec.json.encode([str(refused), [fault.field for fault in refused.faults]])
