"""The provider `openai_responses`, from a request to a call and from bytes to chunks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import (
    REQUEST,
    STREAMS,
    PlayedAnswer,
    PlayedTransport,
    failure_of,
    json_of_fields,
    played,
    recorded,
)
from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.dialects.openai.responses import DIALECT, OpenAiResponses
from worker.upstream.source import open_chunks

RESPONSES = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours")
BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours", is_background=True)
NAMES = sorted(path.stem for path in (STREAMS / DIALECT).glob("*.sse"))


def body_of(asked: dict[str, Any], provider: OpenAiResponses = RESPONSES) -> dict[str, Any]:
    request = parse_request(json.dumps(asked).encode())
    check_dialect(request, DIALECT)
    body: dict[str, Any] = json.loads(provider.call(request, "openai/gpt-x").body)
    return body


_NAMES_OF_FIELDS = (
    "type sequence_number output_index item_id delta text arguments item response error code message status output id "
    "call_id name content usage input_tokens incomplete_details reason function_call output_text summary_index object"
)
_TYPES = st.sampled_from(
    [
        *("response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta"),
        *("response.output_text.done", "response.function_call_arguments.delta", "response.completed", "error"),
        *("response.function_call_arguments.done", "response.failed", "response.incomplete", "response.refusal.delta"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_TYPES, json_of_fields(_NAMES_OF_FIELDS)), max_size=5), st.booleans())
def test_no_json_breaks_the_provider(events: list[tuple[str, Any]], is_background: bool) -> None:
    """Any JSON in an event, with the fields' names in the wrong places, gives chunks or a ProviderFailure."""
    stream = b""
    for kind, value in events:
        told = {**value, "type": kind} if isinstance(value, dict) else value
        stream += f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()
    for chunk in played([stream], provider=BACKGROUND if is_background else RESPONSES):
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "tool_calls_parallel",
        "tool_calls_without_deltas",
        "no_indexes",
        "tool_calls_llama_cpp",
        "tool_calls_without_item_ids",
        "tool_calls_all_of_one_id",
    ],
)
def test_the_pieces_of_each_tool_call_join_to_json(name: str) -> None:
    """One id, one name, and arguments that can be read."""
    calls: dict[int, list[dict[str, Any]]] = {}
    for chunk in played([recorded(name, DIALECT)[0]], provider=RESPONSES):
        if isinstance(chunk, dict) and chunk["type"] == "tool_call":
            calls.setdefault(chunk["index"], []).append(chunk)
    assert sorted(calls) == list(range(len(calls)))
    for pieces in calls.values():
        assert ["id" in piece and "name" in piece for piece in pieces] == [True] + [False] * (len(pieces) - 1)
        assert isinstance(json.loads("".join(piece["arguments"] for piece in pieces)), dict)


@pytest.mark.parametrize("odd", [[], {"a": 1}, 1.5, True, None])
def test_numbers_and_ids_of_an_odd_type_name_nothing(odd: Any) -> None:
    """Numbers and ids of an odd type are compared, and raise nothing."""
    item = {"type": "function_call", "call_id": "c", "name": "f"}
    events = [
        {"type": "response.created", "response": {"id": odd}, "sequence_number": odd},
        {"type": "response.output_item.added", "item": item, "output_index": odd, "sequence_number": odd},
        {"type": "response.function_call_arguments.delta", "delta": "{}", "output_index": 7, "item_id": odd},
        {"type": "response.completed", "response": odd, "sequence_number": odd},
    ]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    for provider in (RESPONSES, BACKGROUND):
        assert played([stream], provider=provider)[-1] == {"type": "terminal"}


def test_the_call_asks_for_a_stream_that_nobody_keeps() -> None:
    """What is not given is not sent; the provider stores nothing unless it has to."""
    call = RESPONSES.call(REQUEST, "openai/org/gpt-x")
    assert (call.method, call.url) == ("POST", "https://api.example/v1/responses")
    assert call.headers["Authorization"] == "Bearer sk-secret-key-of-ours"
    assert call.headers["Accept"] == "text/event-stream"
    assert json.loads(call.body) == {
        "model": "org/gpt-x",
        "input": [{"type": "message", "role": "user", "content": "Tell me of the sea, at length."}],
        "stream": True,
        "store": False,
    }


def test_in_the_background_the_answer_is_kept() -> None:
    """Without that it could not be taken up again."""
    body = body_of({"prompt": "x"}, BACKGROUND)
    assert (body["background"], body["store"], body["stream"]) == (True, True, True)


def test_a_conversation_becomes_items() -> None:
    """Tool calls and their results are items of their own, in order."""
    picture = "data:image/png;base64,AAAA"
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": picture}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Let me "}, {"type": "text", "text": "look."}],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        {"role": "tool", "content": [{"type": "text", "text": "sun"}], "tool_call_id": "c2"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c3", "function": {"name": "f", "arguments": ""}}],
        },
    ]
    assert body_of({"messages": messages})["input"] == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "https://pictures.example/1.png", "detail": "low"},
                {"type": "input_image", "image_url": picture, "detail": "auto"},
            ],
        },
        {"type": "message", "role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": "sun"},
        {"type": "function_call", "call_id": "c3", "name": "f", "arguments": ""},
    ]


def test_options_go_by_the_names_that_they_have_here() -> None:
    """Tools have the flat form with an explicit `strict`, because its default is the opposite of the one in chat."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    schema = {"name": "weather", "schema": {"type": "object"}, "strict": True}
    body = body_of(
        {
            "prompt": "x",
            "max_tokens": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "F.", "parameters": parameters}},
                {"type": "function", "function": {"name": "g", "strict": True}},
            ],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": schema},
            "reasoning_effort": "low",
        }
    )
    for field in ("model", "input", "stream", "store"):
        del body[field]
    assert body == {
        "max_output_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [
            {"type": "function", "name": "f", "description": "F.", "parameters": parameters, "strict": False},
            {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": True},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", **schema}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_tool_choice_by_word_stays_a_word(choice: str) -> None:
    """Only a named tool has another form."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert body_of({"prompt": "x", "tools": tools, "tool_choice": choice})["tool_choice"] == choice


def test_extra_goes_beside_what_is_ours_and_overrides_none_of_it() -> None:
    """An object that holds options of both sides keeps both."""
    body = body_of(
        {
            "prompt": "x",
            "reasoning_effort": "low",
            "response_format": {"type": "json_object"},
            "extra": {
                "truncation": "auto",
                "text": {"verbosity": "low", "format": {"type": "text"}},
                "reasoning": {"effort": "high", "mode": "pro"},
            },
        }
    )
    assert body["truncation"] == "auto"
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert body["reasoning"] == {"effort": "low", "summary": "auto", "mode": "pro"}


@pytest.mark.parametrize("asked", [{"stop": "\n"}, {"seed": 1}])
def test_what_the_dialect_lacks_is_refused_at_submission(asked: dict[str, Any]) -> None:
    """The Responses API has neither stop sequences nor seeds."""
    with pytest.raises(InvalidRequest):
        body_of({"prompt": "x", **asked})


def test_an_organisation_that_may_not_see_summaries_is_answered_without() -> None:
    """OpenAI refuses them to those that it has not verified; once, at once, and then no more."""
    words = b'{"error": {"message": "Your organization must be verified to generate reasoning summaries."}}'
    transport = PlayedTransport(PlayedAnswer([words], status=400), PlayedAnswer([recorded("text", DIALECT)[0]]))
    request = GenerationRequest(prompt="x", reasoning_effort="high")
    with open_chunks(RESPONSES, request, "openai/o3", transport) as lists:
        assert next(lists)[:2] == ["Hel", "lo"]
    assert json.loads(transport.calls[1].body)["reasoning"] == {"effort": "high"}
    refused = [PlayedAnswer([words], status=400) for _ in range(2)]
    assert failure_of(*refused, request=request, provider=RESPONSES).failure.provider_status == 400


@pytest.mark.parametrize(
    ("name", "kind", "code", "words"),
    [
        ("failed", "unavailable", "server_error", "The model had a bad day."),
        ("blocked_prompt", "content_filtered", "invalid_prompt", "Your prompt was flagged."),
        ("error_event", "rate_limited", "rate_limit_exceeded", "Slow down."),
        ("error_event_nested", "rate_limited", "rate_limit_exceeded", "Slow down."),
        ("error_of_a_proxy", "unavailable", "502", "Bad gateway at the edge"),
        ("error_vllm", "unavailable", "500", "out of memory"),
    ],
)
def test_a_failure_keeps_the_provider_s_words_and_code(name: str, kind: str, code: str, words: str) -> None:
    """In every form that an error has in this dialect."""
    failure = failure_of(PlayedAnswer([recorded(name, DIALECT)[0]]), provider=RESPONSES).failure
    assert (failure.kind, failure.provider_code) == (kind, code)
    assert words in failure.message


def test_neither_key_nor_prompt_shows_in_a_repr() -> None:
    """Reprs end up in logs."""
    shown = f"{RESPONSES!r} {RESPONSES.call(REQUEST, 'openai/gpt-x')!r} {RESPONSES.stored('resp_1 4')!r}"
    assert "secret" not in shown
    assert "sea" not in shown
