"""The provider `openai_chat`, from a request to a call and from bytes to chunks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import (
    OPENAI,
    REQUEST,
    STREAMS,
    PlayedAnswer,
    PlayedTransport,
    failure_of,
    json_of_fields,
    played,
    recorded,
)
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.chunk import ProviderFailure, provider_failure
from worker.dialects.openai.chat import OpenAiChat
from worker.upstream.source import open_chunks

NAMES = sorted(path.stem for path in (STREAMS / "openai_chat").glob("*.sse"))


def body_of(request: GenerationRequest, model: str = "openai/gpt-x") -> dict[str, Any]:
    body: dict[str, Any] = json.loads(OPENAI.call(request, model).body)
    return body


_NAMES_OF_FIELDS = (
    "choices delta content index finish_reason tool_calls function name arguments id usage error message code type "
    "object reasoning refusal prompt_tokens text thinking detail"
)
_NAMES_IN_A_DELTA = (
    "content text type thinking refusal images image_url url data audio transcript tool_calls function name arguments "
    "id index custom input annotations citations search_results title start_index end_index reasoning_details summary "
    "signature thinking_blocks executed_tools output code_interpreter extra_content provider_specific_fields"
)


@settings(max_examples=100, deadline=None)
@given(st.lists(json_of_fields(_NAMES_OF_FIELDS), max_size=4))
def test_no_json_breaks_the_provider(values: list[Any]) -> None:
    """Any JSON in an event, with the fields' names in the wrong places, gives chunks or a ProviderFailure."""
    stream = "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()
    for chunk in played([stream]):
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(_NAMES_IN_A_DELTA.split()), json_of_fields(_NAMES_IN_A_DELTA)), max_size=3)
)
def test_no_field_of_a_delta_breaks_the_provider(deltas: list[dict[str, Any]]) -> None:
    """Any JSON in a delta or in a message, in every place where content may be, gives chunks or a ProviderFailure."""
    choices = [{"delta": delta} for delta in deltas] + [{"message": delta, "finish_reason": "stop"} for delta in deltas]
    stream = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices).encode()
    for chunk in played([stream]):
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")


def test_the_call_asks_for_a_stream_with_usage() -> None:
    """The request as OpenAI wants it; what is not given is not sent."""
    call = OPENAI.call(REQUEST, "openai/org/gpt-x")
    assert call.url == "https://api.example/v1/chat/completions"
    assert call.headers["Authorization"] == "Bearer sk-secret-key-of-ours"
    assert call.headers["Accept-Encoding"] == "identity"
    assert json.loads(call.body) == {
        "model": "org/gpt-x",
        "messages": [{"role": "user", "content": "Tell me of the sea, at length."}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_call_carries_every_option() -> None:
    """Messages with images and tool calls, tools, form and sampling go as they came."""
    function = {"name": "f", "parameters": {"type": "object"}, "strict": True}
    given_body: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Weather?"},
                    {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        ],
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["\n", "END"],
        "seed": -7,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": {}, "strict": True}},
        "reasoning_effort": "minimal",
    }
    request = parse_request(json.dumps({**given_body, "metadata": {"a": "b"}}).encode())
    check_dialect(request, "openai_chat")
    assert body_of(request) == {
        **given_body,
        "model": "gpt-x",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_tool_choice_by_word_stays_a_word(choice: str) -> None:
    """Only a named tool has another form."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = json.dumps({"prompt": "x", "tools": tools, "tool_choice": choice}).encode()
    assert body_of(parse_request(asked))["tool_choice"] == choice


def test_extra_goes_beside_what_is_ours_and_overrides_none_of_it() -> None:
    """Whatever passed at submission: what makes a stream of one answer is set here."""
    extra = {"min_p": 0.1, "logit_bias": {"5": 1}, "reasoning_effort": "high", "provider": {"order": ["a"]}}
    body = body_of(GenerationRequest(prompt="x", reasoning_effort="low", extra={**extra, "stream": False}))
    assert (body["min_p"], body["logit_bias"], body["provider"]) == (0.1, {"5": 1}, {"order": ["a"]})
    assert (body["stream"], body["reasoning_effort"]) == (True, "low")


def fresh() -> OpenAiChat:
    """A provider that has met no refusal yet."""
    return OpenAiChat("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours")


def test_neither_key_nor_prompt_shows_in_a_repr() -> None:
    """Reprs end up in logs."""
    shown = f"{OPENAI!r} {OPENAI.call(REQUEST, 'openai/gpt-x')!r}"
    assert "secret" not in shown
    assert "sea" not in shown


def test_a_server_without_a_key_is_sent_none() -> None:
    """The local model needs no Authorization."""
    assert "Authorization" not in OpenAiChat("local/m", "http://127.0.0.1:1/v1", "").call(REQUEST, "local/m").headers


def test_a_server_that_refuses_stream_options_is_asked_without_them() -> None:
    """Once, at once; and the refused answer is closed."""
    refused = PlayedAnswer([b'{"error": {"message": "unknown field: stream_options"}}'], status=400)
    good = PlayedAnswer([recorded("text")[0]])
    transport = PlayedTransport(refused, good)
    with open_chunks(fresh(), REQUEST, "openai/gpt-x", transport) as lists:
        assert next(lists)[:2] == ["Hel", "lo"]
    assert "stream_options" not in json.loads(transport.calls[1].body)
    assert (len(transport.calls), refused.closes, good.closes) == (2, 1, 1)


def test_a_server_that_goes_on_refusing_is_not_asked_for_ever() -> None:
    """Each amendment removes what was refused, so that there are at most three calls."""
    words = b'{"error": {"message": "stream_options? max_tokens? use max_completion_tokens"}}'
    answers = [PlayedAnswer([words], status=400) for _ in range(3)]
    request = GenerationRequest(prompt="x", max_tokens=7)
    assert failure_of(*answers, request=request, provider=fresh()).failure.kind == FailureKind.REJECTED


def test_a_deadline_that_passes_while_an_error_is_read_sends_nothing_more() -> None:
    """Whatever the error says: the answer to another call would come when nobody waits for it any more."""
    late = provider_failure(FailureKind.TIMEOUT, "too late", is_retryable=True)
    transport = PlayedTransport(PlayedAnswer([b"stream_options"], status=400, ending=late), PlayedAnswer([]))
    with (
        pytest.raises(ProviderFailure, match="rejected"),
        open_chunks(OPENAI, REQUEST, "openai/x", transport) as lists,
    ):
        list(lists)
    assert len(transport.calls) == 1


def test_a_model_that_wants_max_completion_tokens_gets_them() -> None:
    """OpenAI's reasoning models refuse the older name."""
    words = b'{"error": {"message": "Unsupported parameter: \'max_tokens\'. Use \'max_completion_tokens\' instead."}}'
    transport = PlayedTransport(PlayedAnswer([words], status=400), PlayedAnswer([recorded("text")[0]]))
    request = GenerationRequest(prompt="x", max_tokens=7)
    with open_chunks(fresh(), request, "openai/o1", transport) as lists:
        list(lists)
    sent = json.loads(transport.calls[1].body)
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


def test_whatever_is_raised_into_a_read_closes_the_answer() -> None:
    """A deadline or a cancel comes as any exception, and must not leave the provider generating."""

    class Cancelled(BaseException):
        pass

    answer = PlayedAnswer([b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'], ending=Cancelled())
    seen: list[Any] = []
    with pytest.raises(Cancelled), open_chunks(OPENAI, REQUEST, "openai/x", PlayedTransport(answer)) as lists:
        seen.extend(lists)
    assert answer.closes


def test_leaving_early_closes_the_answer() -> None:
    """A reader that stops early closes the provider's answer."""
    answer = PlayedAnswer([recorded("text")[0]])
    with open_chunks(OPENAI, REQUEST, "openai/x", PlayedTransport(answer)) as lists:
        next(lists)
        assert not answer.closes
    assert answer.closes


def test_a_provider_that_never_makes_us_wait_still_lets_others_run() -> None:
    """A read that need not wait does not give way; so now and then the source does."""
    pauses: list[float] = []
    answer = PlayedAnswer([b": ping\n\n"] * 100 + [recorded("text")[0]])
    with open_chunks(OPENAI, REQUEST, "openai/x", PlayedTransport(answer), sleep=pauses.append) as lists:
        list(lists)
    assert len(pauses) >= 5
    assert set(pauses) == {0}


def test_nothing_is_read_beyond_the_end_marker_but_the_body_s_end() -> None:
    """A server that keeps its connection open after `[DONE]` delays nothing: one short wait, for the pool's sake."""
    answer = PlayedAnswer([recorded("text")[0], b"more", b"more"])
    with open_chunks(OPENAI, REQUEST, "openai/x", PlayedTransport(answer)) as lists:
        list(lists)
    assert answer.waits[0] is None
    assert len(answer.waits) == 2
    assert (answer.waits[1] or 9) < 0.1
