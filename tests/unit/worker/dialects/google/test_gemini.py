"""The provider `gemini`, from bytes to chunks, and from an error to its failure."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import (
    STREAMS,
    PlayedAnswer,
    failure_of,
    json_of_fields,
    played,
    recorded,
)
from worker.dialects.google.gemini import Gemini

GEMINI = Gemini("gemini/*", "https://gemini.example/", "secret-key-of-ours")
NAMES = sorted(path.stem for path in (STREAMS / "gemini").glob("*.sse"))
TRUNCATED = {"type": "failure", "kind": "truncated", "is_retryable": True}


_FIELDS = "candidates content parts text thought functionCall args name id finishReason promptFeedback blockReason "
_FIELDS += "usageMetadata promptTokenCount thoughtsTokenCount error message code status details retryDelay reason STOP"


@settings(max_examples=100, deadline=None)
@given(st.lists(json_of_fields(_FIELDS), max_size=4))
def test_no_json_breaks_the_provider(values: list[Any]) -> None:
    """Any JSON, in events and bare, with the fields' names in the wrong places: chunks or a ProviderFailure."""
    events = "".join(f"data: {json.dumps(value)}\n\n" for value in values)
    bare = "\n".join(json.dumps(value, indent=1) for value in values)
    for stream in (events, bare, events + bare):
        for chunk in played([stream.encode()], provider=GEMINI):
            json.dumps(chunk, ensure_ascii=False).encode("utf-8")


def error(code: int, status: str, message: str = "Its words.", **detail: Any) -> bytes:
    value = {"error": {"code": code, "message": message, "status": status, "details": [{}, "odd", detail]}}
    return json.dumps(value, indent=2).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "is_retryable", "code"),
    [
        (400, error(400, "INVALID_ARGUMENT"), "rejected", False, "INVALID_ARGUMENT"),
        (400, error(400, "FAILED_PRECONDITION"), "rejected", False, "FAILED_PRECONDITION"),
        (404, error(404, "NOT_FOUND"), "rejected", False, "NOT_FOUND"),
        (429, error(429, "RESOURCE_EXHAUSTED"), "rate_limited", True, "RESOURCE_EXHAUSTED"),
        (500, error(500, "INTERNAL"), "unavailable", True, "INTERNAL"),
        (503, error(503, "UNAVAILABLE"), "overloaded", True, "UNAVAILABLE"),
        (504, error(504, "DEADLINE_EXCEEDED"), "timeout", True, "DEADLINE_EXCEEDED"),
        (499, error(499, "CANCELLED"), "unavailable", True, "CANCELLED"),
        (503, b"[" + error(503, "UNAVAILABLE") + b"]", "overloaded", True, "UNAVAILABLE"),
        (500, b'{"error": {"code": 500, "message": "Its words."}}', "unavailable", True, "500"),
        (200, error(503, "UNAVAILABLE"), "overloaded", True, "UNAVAILABLE"),
        (200, b'{"error": {"code": 400, "message": "Its words."}}', "rejected", False, "400"),
        (200, b'{"error": {"code": 7, "message": "Its words."}}', "unavailable", True, "7"),
    ],
)
def test_an_error_becomes_its_failure(status: int, body: bytes, kind: str, is_retryable: bool, code: str) -> None:
    """With the provider's words, its own word for the kind, and the status of the answer."""
    failure = failure_of(PlayedAnswer([body], status=status), provider=GEMINI).failure
    assert (failure.kind, failure.is_retryable, failure.provider_code) == (kind, is_retryable, code)
    assert failure.provider_status == status
    assert "Its words." in failure.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error(400, "INVALID_ARGUMENT", "Key AIzaSecret not valid.", reason="API_KEY_INVALID")),
        (401, error(401, "UNAUTHENTICATED", "Key AIzaSecret is none.")),
        (403, error(403, "PERMISSION_DENIED", "Key AIzaSecret may not.")),
        (200, error(401, "UNAUTHENTICATED", "Key AIzaSecret is none.")),
        (403, b'{"error": {"code": 403, "message": "Key AIzaSecret may not."}}'),
        (200, b'data: {"error": {"code": 401, "message": "Key AIzaSecret is none."}}\n\n'),
    ],
)
def test_a_refused_key_is_told_without_quoting_it(status: int, body: bytes) -> None:
    """A bad key is status 400 there; the failure says what is wrong all the same."""
    failure = failure_of(PlayedAnswer([body], status=status), provider=GEMINI).failure
    assert "refused the key" in failure.message
    assert "AIza" not in failure.message
    assert (failure.kind, failure.is_retryable) == ("rejected", False)


@pytest.mark.parametrize(
    ("headers", "delay", "expected"),
    [
        ({}, "34.074824224s", 34.074824224),
        ({}, "2s", 2),
        ({"retry-after": "7"}, "34s", 7),
        ({"retry-after": "0"}, "34s", 0),
        ({}, "soon", None),
        ({}, "-1s", None),
        ({}, 34, None),
    ],
)
def test_how_long_to_wait_is_in_the_header_or_in_a_detail(headers: dict[str, str], delay: Any, expected: Any) -> None:
    """google.rpc.RetryInfo, where there is no Retry-After."""
    body = error(429, "RESOURCE_EXHAUSTED", retryDelay=delay)
    raised = failure_of(PlayedAnswer([body], status=429, headers=headers), provider=GEMINI)
    assert raised.retry_after_s == expected


def test_a_delay_is_found_under_status_200_too() -> None:
    """An error may come after the stream has begun."""
    stream = b"data: " + error(429, "RESOURCE_EXHAUSTED", retryDelay="3s").replace(b"\n", b"") + b"\n\n"
    assert failure_of(PlayedAnswer([stream]), provider=GEMINI).retry_after_s == 3


def test_a_block_names_its_reason() -> None:
    """A blocked answer fails with the provider's reason, so that the client can show it to its user."""
    failure = failure_of(PlayedAnswer([recorded("block", "gemini")[0]]), provider=GEMINI).failure
    assert (failure.kind, failure.provider_code) == ("content_filtered", "PROHIBITED_CONTENT")


def test_a_call_that_cannot_be_read_is_not_quoted() -> None:
    """`finishMessage` holds what the model wrote, which is no failure's business."""
    failure = failure_of(PlayedAnswer([recorded("malformed_function_call", "gemini")[0]]), provider=GEMINI).failure
    assert failure.provider_code == "MALFORMED_FUNCTION_CALL"
    assert "default_api" not in failure.message


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"upstream connect error", b"", b'{"oops": 1}'])
def test_a_proxy_s_words_are_no_error_of_google_s(body: bytes) -> None:
    """The status says what there is to say."""
    failure = failure_of(PlayedAnswer([body], status=502), provider=GEMINI).failure
    assert (failure.kind, failure.is_retryable, failure.provider_code) == ("unavailable", True, None)
