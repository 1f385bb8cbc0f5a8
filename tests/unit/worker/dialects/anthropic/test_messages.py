"""The provider `anthropic`: its stream from bytes to chunks, its call, and its failures."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import (
    REQUEST,
    STREAMS,
    PlayedAnswer,
    failure_of,
    json_of_fields,
    played,
    recorded,
)
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import parse_request
from worker.dialects.anthropic.messages import Anthropic

KEY = "sk-ant-secret-key-of-ours"
ANTHROPIC = Anthropic("anthropic/*", "https://api.example/", KEY)
NAMES = sorted(path.stem for path in (STREAMS / "anthropic").glob("*.sse"))


@pytest.mark.parametrize("name", [name for name in NAMES if b'"tool_use","stop' in recorded(name, "anthropic")[0]])
def test_the_arguments_of_every_finished_call_are_json(name: str) -> None:
    """However they came: in pieces, whole, or not at all."""
    expected = recorded(name, "anthropic")[1]
    calls: dict[int, str] = {}
    for chunk in expected:
        if isinstance(chunk, dict) and chunk["type"] == "tool_call":
            calls[chunk["index"]] = calls.get(chunk["index"], "") + chunk["arguments"]
    assert calls
    assert all(isinstance(json.loads(arguments), dict) for arguments in calls.values())


_NAMES_OF_FIELDS = (
    "type index message content_block delta usage error content_block_start content_block_delta content_block_stop "
    "message_start message_delta message_stop text thinking tool_use input partial_json text_delta thinking_delta "
    "input_json_delta stop_reason stop_details explanation id name input_tokens output_tokens output_tokens_details"
)
_FIELDS = json_of_fields(_NAMES_OF_FIELDS)
_EVENTS = st.tuples(st.sampled_from(_NAMES_OF_FIELDS.split()), _FIELDS, _FIELDS, _FIELDS)


@settings(max_examples=150, deadline=None)
@given(st.lists(_EVENTS, max_size=5), _FIELDS)
def test_no_json_breaks_the_provider(events: list[tuple[str, Any, Any, Any]], last: Any) -> None:
    """Any JSON in an event, with the fields' names in the wrong places, gives chunks or a ProviderFailure."""
    values = [
        {"type": kind, "index": 0, "delta": delta, "content_block": block, "usage": usage}
        for kind, delta, block, usage in events
    ]
    stream = "".join(f"data: {json.dumps(value)}\n\n" for value in [*values, last]).encode()
    for chunk in played([stream], provider=ANTHROPIC):
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")


def test_the_call_asks_for_a_stream() -> None:
    """The least that Anthropic wants, in the version that is known here; what is not given is not sent."""
    call = ANTHROPIC.call(REQUEST, "anthropic/org/claude-x")
    assert call.url == "https://api.example/v1/messages"
    assert call.headers["x-api-key"] == KEY
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert call.headers["Accept-Encoding"] == "identity"
    assert json.loads(call.body) == {
        "model": "org/claude-x",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Tell me of the sea, at length."}]}],
        "stream": True,
    }


@pytest.mark.parametrize("base_url", ["https://a.example", "https://a.example/", "https://a.example/v1/"])
def test_an_address_may_have_its_version_or_not(base_url: str) -> None:
    """Other dialects' addresses end in /v1, and so this one is often written, too."""
    assert Anthropic("a/*", base_url, "").call(REQUEST, "a/m").url == "https://a.example/v1/messages"


def test_a_server_without_a_key_is_sent_none() -> None:
    """A local server needs none."""
    assert "x-api-key" not in Anthropic("a/*", "http://127.0.0.1:1", "").call(REQUEST, "a/m").headers


def test_neither_key_nor_prompt_shows_in_a_repr() -> None:
    """Reprs end up in logs."""
    shown = f"{ANTHROPIC!r} {ANTHROPIC.call(REQUEST, 'anthropic/claude-x')!r}"
    assert "secret" not in shown
    assert "sea" not in shown


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "code", "kind", "is_retryable"),
    [
        (400, "invalid_request_error", FailureKind.REJECTED, False),
        (401, "authentication_error", FailureKind.REJECTED, False),
        (402, "billing_error", FailureKind.RATE_LIMITED, False),
        (403, "permission_error", FailureKind.REJECTED, False),
        (404, "not_found_error", FailureKind.REJECTED, False),
        (413, "request_too_large", FailureKind.REJECTED, False),
        (429, "rate_limit_error", FailureKind.RATE_LIMITED, True),
        (500, "api_error", FailureKind.UNAVAILABLE, True),
        (504, "timeout_error", FailureKind.TIMEOUT, True),
        (529, "overloaded_error", FailureKind.OVERLOADED, True),
    ],
)
def test_a_status_gives_its_kind_and_the_provider_s_own_word(
    status: int, code: str, kind: FailureKind, is_retryable: bool
) -> None:
    """Every status that Anthropic documents."""
    body = error_body(code, "Such is life")
    told = failure_of(PlayedAnswer([body], status=status, headers={"retry-after": "3"}), provider=ANTHROPIC)
    assert told.retry_after_s == 3
    failure = told.failure
    assert (failure.kind, failure.is_retryable) == (kind, is_retryable)
    assert (failure.provider_status, failure.provider_code) == (status, code)
    assert ("Such is life" in failure.message) == (status not in {401, 403})


@pytest.mark.parametrize(("header", "is_retryable"), [("false", False), ("true", True), ("perhaps", True)])
def test_a_provider_that_says_whether_to_try_again_is_believed(header: str, is_retryable: bool) -> None:
    """A limit on spending is a 429 like any other, but waiting does not help."""
    answer = PlayedAnswer([error_body("rate_limit_error", "No.")], status=429, headers={"x-should-retry": header})
    assert failure_of(answer, provider=ANTHROPIC).failure.is_retryable is is_retryable


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_failure_repeats_neither_prompt_nor_key(status: int) -> None:
    """Some servers echo what they refuse; failures travel into logs."""
    for words in (f"unknown key {KEY}", "unexpected text: Tell me of the sea, at length."):
        told = failure_of(PlayedAnswer([error_body("api_error", words)], status=status), provider=ANTHROPIC)
        assert "repeat the request" in told.failure.message


def test_a_conversation_with_broken_arguments_is_rejected() -> None:
    """Anthropic wants an object, and inventing one would put words into the model's mouth."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    request = parse_request(json.dumps({"messages": messages}).encode())
    failure = failure_of(request=request, provider=ANTHROPIC).failure
    assert (failure.kind, failure.is_retryable) == (FailureKind.REJECTED, False)
    assert "oops" not in failure.message
