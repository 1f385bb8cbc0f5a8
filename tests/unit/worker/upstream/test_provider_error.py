"""Answers that are no stream: what a status and a body mean, and what of them clients may receive."""

import json
from email.utils import formatdate

import pytest

from tests.unit.worker.recorded_streams import PlayedAnswer, failure_of
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import GenerationRequest


@pytest.mark.parametrize(
    ("status", "kind", "is_retryable"),
    [
        (302, "rejected", False),
        (400, "rejected", False),
        (401, "rejected", False),
        (402, "rate_limited", False),
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
        (504, "timeout", True),
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
