"""The provider `openai_chat`, from a request to a call and from bytes to chunks."""

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import (
    LOST,
    OPENAI,
    REQUEST,
    STREAMS,
    PlayedAnswer,
    PlayedTransport,
    played,
    recorded,
)
from tokentail.job import FailureKind
from tokentail.request import GenerationRequest, parse_request
from worker.chunk import ProviderFailure, provider_failure
from worker.providers.openai_chat import OpenAiChat
from worker.providers.source import open_chunks

NAMES = sorted(path.stem for path in (STREAMS / "openai_chat").glob("*.sse"))


def body_of(request: GenerationRequest, model: str = "openai/gpt-x") -> dict[str, Any]:
    body: dict[str, Any] = json.loads(OPENAI.call(request, model).body)
    return body


def failure_of(*answers: PlayedAnswer, request: GenerationRequest = REQUEST) -> ProviderFailure:
    with (
        pytest.raises(ProviderFailure) as raised,
        open_chunks(OPENAI, request, "openai/gpt-x", PlayedTransport(*answers)) as lists,
    ):
        list(lists)
    assert all(answer.closes for answer in answers), "every answer is closed"
    return raised.value


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_stream_gives_its_chunks_however_it_is_split(name: str) -> None:
    """Whole, byte by byte, and at every split in two: the same chunks, and the same failure."""
    stream, expected = recorded(name)
    assert played([stream]) == expected
    assert played(stream[i : i + 1] for i in range(len(stream))) == expected
    for i in range(1, len(stream)):
        assert played([stream[:i], stream[i:]]) == expected, f"split at {i}"


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_connection_ends_a_stream_like_a_clean_end(name: str) -> None:
    """Once the model has finished, a cut costs at most the usage; before that, it is a failure like any truncation."""
    stream, expected = recorded(name)
    if name == "web_page":  # a page that was cut is first of all a cut
        expected = [{"type": "failure", "kind": "truncated", "is_retryable": True}]
    assert played([stream], ending=LOST) == expected


_BREAKERS = [b'"', b"{", b"null", b"\\ud83d", b"\n\n", b"[" * 2000, b"1e999"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_bytes_break_the_provider(draw: st.DataObject) -> None:
    """Recorded streams with bytes changed, cut out and put in give chunks or a ProviderFailure, never another error."""
    stream = bytearray(recorded(draw.draw(st.sampled_from(NAMES)))[0])
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(stream)))
        cut = draw.draw(st.integers(0, 8))
        put = draw.draw(st.binary(max_size=4) | st.sampled_from(_BREAKERS))
        stream[at : at + cut] = put
    at = draw.draw(st.integers(0, len(stream)))
    whole = played([bytes(stream)])
    assert played([bytes(stream[:at]), bytes(stream[at:])]) == whole
    for chunk in whole:
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")  # nothing that a log cannot hold


_NAMES_OF_FIELDS = (
    "choices delta content index finish_reason tool_calls function name arguments id usage error message code type "
    "object reasoning refusal prompt_tokens text thinking detail"
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES_OF_FIELDS.split()), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_JSON, max_size=4))
def test_no_json_breaks_the_provider(values: list[Any]) -> None:
    """Any JSON in an event, with the fields' names in the wrong places, gives chunks or a ProviderFailure."""
    stream = "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()
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
    """Messages with tool calls, tools and sampling go as they came."""
    given_body: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
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
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
    }
    sent = body_of(parse_request(json.dumps({**given_body, "metadata": {"a": "b"}}).encode()))
    assert sent == {**given_body, "model": "gpt-x", "stream": True, "stream_options": {"include_usage": True}}


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
    with open_chunks(OPENAI, REQUEST, "openai/gpt-x", transport) as lists:
        assert next(lists)[:2] == ["Hel", "lo"]
    assert "stream_options" not in json.loads(transport.calls[1].body)
    assert (len(transport.calls), refused.closes, good.closes) == (2, 1, 1)


def test_a_server_that_goes_on_refusing_is_not_asked_for_ever() -> None:
    """Each amendment removes what was refused, so that there are at most three calls."""
    words = b'{"error": {"message": "stream_options? max_tokens? use max_completion_tokens"}}'
    answers = [PlayedAnswer([words], status=400) for _ in range(3)]
    request = GenerationRequest(prompt="x", max_tokens=7)
    assert failure_of(*answers, request=request).failure.kind == FailureKind.REJECTED


def test_a_model_that_wants_max_completion_tokens_gets_them() -> None:
    """OpenAI's reasoning models refuse the older name."""
    words = b'{"error": {"message": "Unsupported parameter: \'max_tokens\'. Use \'max_completion_tokens\' instead."}}'
    transport = PlayedTransport(PlayedAnswer([words], status=400), PlayedAnswer([recorded("text")[0]]))
    request = GenerationRequest(prompt="x", max_tokens=7)
    with open_chunks(OPENAI, request, "openai/o1", transport) as lists:
        list(lists)
    sent = json.loads(transport.calls[1].body)
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


@pytest.mark.parametrize(
    ("status", "kind", "is_retryable"),
    [
        (302, "rejected", False),
        (400, "rejected", False),
        (401, "rejected", False),
        (403, "rejected", False),
        (404, "rejected", False),
        (408, "timeout", True),
        (409, "unavailable", True),
        (413, "rejected", False),
        (422, "rejected", False),
        (429, "rate_limited", True),
        (500, "unavailable", True),
        (502, "unavailable", True),
        (503, "overloaded", True),
        (504, "unavailable", True),
        (529, "overloaded", True),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "Such is life", "code": "c"}}',
        b"<html>Bad",
        b"",
        b"\xff",
        b'{"error": "no"}',
        b"[1",
        b"3",
    ],
)
def test_a_status_means_the_same_whatever_the_body(status: int, kind: str, is_retryable: bool, body: bytes) -> None:
    """The status decides what happens next; the provider's words only explain."""
    failure = failure_of(PlayedAnswer([body], status=status)).failure
    assert (failure.kind, failure.is_retryable, failure.provider_status) == (kind, is_retryable, status)
    if b"Such is life" in body and status in {400, 500}:
        assert failure.message == f"The provider answered with status {status}: Such is life"
        assert failure.provider_code == "c"


def test_a_quota_that_is_used_up_is_not_tried_again() -> None:
    """OpenAI says 429 for it, but waiting does not help."""
    body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    failure = failure_of(PlayedAnswer([body], status=429)).failure
    assert (failure.kind, failure.is_retryable) == (FailureKind.RATE_LIMITED, False)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": formatdate(1_760_000_090, usegmt=True), "date": formatdate(1_760_000_000, usegmt=True)}, 90),
        ({"retry-after": formatdate(1_760_000_000, usegmt=True)}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_understood_in_each_form(headers: dict[str, str], wait_s: float | None) -> None:
    """Seconds, milliseconds, or a date by the provider's own clock; nonsense is none."""
    assert failure_of(PlayedAnswer([b""], status=429, headers=headers)).retry_after_s == wait_s


def test_the_provider_s_word_on_a_refused_key_is_not_repeated() -> None:
    """Providers quote a part of it."""
    body = b'{"error": {"message": "Incorrect API key provided: sk-sec***ours", "code": "invalid_api_key"}}'
    assert "sk-" not in failure_of(PlayedAnswer([body], status=401)).failure.message


@pytest.mark.parametrize(
    "words",
    [
        "Bad input: Tell me of the sea, at length.",
        "Bad input: [{'content': 'Tell me of\\n  the sea, at length.'}]",
        "value error near 'ell me of the sea, at length'",
        "key sk-secret-key-of-ours is unknown",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_failure_repeats_neither_prompt_nor_key(words: str, status: int) -> None:
    """Some servers echo what they refuse; failures travel into logs."""
    request = GenerationRequest(prompt="Tell me of the sea, at length. Tell me of the sea, at length.")
    if "\\n" in words:
        request = GenerationRequest(prompt="Tell me of\n  the sea, at length.")
        words = words.replace("\\n", "\n")
    body = json.dumps({"error": {"message": words, "code": words}}).encode()
    failure = failure_of(PlayedAnswer([body], status=status), request=request).failure
    assert "sea" not in str(failure)
    assert "secret" not in str(failure)
    assert "repeat the request" in failure.message


def test_a_long_message_is_cut() -> None:
    """A failure is a line, not a page."""
    body = json.dumps({"error": {"message": "a\n\x1b[31m" * 5000, "code": "b" * 5000}}).encode()
    failure = failure_of(PlayedAnswer([body], status=500)).failure
    assert len(failure.message) <= 500
    assert len(failure.provider_code or "") <= 100
    assert failure.message.isprintable()


def test_an_error_s_body_that_never_ends_is_left() -> None:
    """64 KiB of it are enough."""
    answer = PlayedAnswer((b"<p>" * 1000 for _ in iter(int, 1)), status=500)
    assert failure_of(answer).failure.kind == FailureKind.UNAVAILABLE


def test_a_page_that_never_ends_is_left() -> None:
    """Even under status 200."""
    answer = PlayedAnswer(b"<p>" * 1000 for _ in iter(int, 1))
    assert failure_of(answer).failure.kind == FailureKind.MALFORMED


def test_an_event_that_never_ends_is_malformed() -> None:
    """The decoder's limit is the provider's failure."""
    answer = PlayedAnswer(b"data: " + b"x" * 65536 for _ in iter(int, 1))
    assert failure_of(answer).failure.kind == FailureKind.MALFORMED


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
    """Whoever stops reading stops the provider."""
    answer = PlayedAnswer([recorded("text")[0]])
    with open_chunks(OPENAI, REQUEST, "openai/x", PlayedTransport(answer)) as lists:
        next(lists)
        assert not answer.closes
    assert answer.closes


def test_nothing_is_read_beyond_the_end_marker_but_the_body_s_end() -> None:
    """A server that keeps its connection open after `[DONE]` delays nothing: one short wait, for the pool's sake."""
    answer = PlayedAnswer([recorded("text")[0], b"more", b"more"])
    with open_chunks(OPENAI, REQUEST, "openai/x", PlayedTransport(answer)) as lists:
        list(lists)
    assert answer.waits[0] is None
    assert len(answer.waits) == 2
    assert (answer.waits[1] or 9) < 0.1


def test_after_the_model_has_finished_the_rest_is_not_waited_for_long() -> None:
    """The whole text is there: a server that then falls silent or only pings costs seconds, not the job."""
    now = iter(range(100))
    finish = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
    silent = provider_failure(FailureKind.TIMEOUT, "The provider fell silent.", is_retryable=True)
    answer = PlayedAnswer([finish, b": ping\n\n", b": ping\n\n"], ending=silent)
    transport = PlayedTransport(answer)
    with open_chunks(OPENAI, REQUEST, "openai/x", transport, clock=lambda: float(next(now))) as lists:
        assert [len(chunks) for chunks in lists] == [2]
    waits = [wait for wait in answer.waits if wait is not None]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] <= 5
