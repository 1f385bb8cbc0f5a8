"""What the codes and the words of providers' errors mean, and what of their words clients receive."""

import json

import pytest

from tests.unit.worker.recorded_streams import OPENAI, PlayedAnswer, failure_of
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.google.gemini import Gemini
from worker.dialects.ollama import Ollama
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.error_text import page_text, safe_words
from worker.upstream.provider import HttpProvider

ANTHROPIC = Anthropic("anthropic/*", "https://api.example", "")
_PROVIDERS: list[HttpProvider] = [
    OPENAI,
    ANTHROPIC,
    Gemini("gemini/*", "https://api.example", ""),
    OpenAiResponses("new/*", "https://api.example/v1", ""),
    Ollama("ollama/*", "https://api.example", ""),
]
_IN_EACH_DIALECT = pytest.mark.parametrize("provider", _PROVIDERS, ids=lambda provider: provider.served.dialect)
FOR_GOOD = {
    "rate_limited": [
        *("insufficient_quota", "exceeded_current_quota_error", "billing_error", "contract_spend_limit_reached"),
        *(
            "linked_enforced_spend_limit_reached",
            "insufficient_balance",
            "Arrearage",
            "payment_required",
            "402",
            "1113",
        ),
    ],
    "content_filtered": [
        *("content_filter", "content_policy_violation", "invalid_prompt", "bio_policy", "DataInspectionFailed"),
        *("misalignment_policy_violation", "image_content_policy_violation", "ResponsibleAIPolicyViolation"),
    ],
    "rejected": [
        *("invalid_request_error", "context_length_exceeded", "exceed_context_size_error", "PERMISSION_DENIED"),
        *("permission_error", "not_found_error", "model_not_found", "request_too_large", "data_residency_mismatch"),
        *("BadRequestError", "ValidationException", "InvalidParameter", "INVALID_ARGUMENT", "FAILED_PRECONDITION"),
        *("invalid_image_format", "image_parse_error", "empty_image_file", "unsupported_value", "400", "413", "422"),
        *("invalid_api_key", "authentication_error", "UNAUTHENTICATED", "invalid_authentication_error", "401"),
    ],
}
MAY_PASS = {
    "rate_limited": [
        *("rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException", "429"),
        *("rate_limit_reached_error", "too_many_requests"),
    ],
    "overloaded": [
        *("overloaded_error", "engine_overloaded_error", "slow_down", "UNAVAILABLE", "server_overloaded", "503"),
        *("ServiceUnavailableError", "service_unavailable", "ModelNotReadyException"),
    ],
    "timeout": ["timeout", "timeout_error", "DEADLINE_EXCEEDED", "vector_store_timeout", "408", "504"],
    "unavailable": [
        *("server_error", "api_error", "internal_server_error", "INTERNAL", "InternalServerError", "CANCELLED", "500"),
        *("502", "1234", "99999", "some_code_of_tomorrow"),
    ],
}
_CODES = [
    (code, kind, is_retryable)
    for is_retryable, kinds in ((False, FOR_GOOD), (True, MAY_PASS))
    for kind, codes in kinds.items()
    for code in codes
]


def _stream(provider: HttpProvider, event: object) -> bytes:
    line = json.dumps(event) + "\n"
    return (line if isinstance(provider, Ollama) else f"data: {line}\n").encode()


@_IN_EACH_DIALECT
@pytest.mark.parametrize(("code", "kind", "is_retryable"), _CODES)
def test_a_code_means_the_same_in_every_dialect(
    provider: HttpProvider, code: str, kind: str, is_retryable: bool
) -> None:
    """As a code or as a type; what no further call can change is not tried again."""
    for name in ("code", "type"):
        failure = failure_of(
            PlayedAnswer([_stream(provider, {"error": {name: code, "message": "Such is life."}})]), provider=provider
        ).failure
        assert (failure.kind, failure.is_retryable, failure.provider_code) == (kind, is_retryable, code)


def test_a_code_may_be_a_number() -> None:
    """400 and "400" are one code, and 1305 is no status."""
    for code, kind in ((400, "rejected"), (402, "rate_limited"), (504, "timeout"), (1305, "unavailable")):
        stream = _stream(OPENAI, {"error": {"code": code, "message": "Such is life."}})
        assert failure_of(PlayedAnswer([stream])).failure.kind == kind


@pytest.mark.parametrize(
    ("error", "kind", "is_retryable"),
    [
        ({"code": 429, "type": "insufficient_quota"}, "rate_limited", False),
        ({"code": 500, "type": "server_error", "message": "The prompt is too long."}, "rejected", False),
        (
            {"code": 429, "type": "rate_limit_error", "details": {"error_code": "x_spend_limit_reached"}},
            "rate_limited",
            False,
        ),
        ({"code": "500", "type": "content_policy_violation"}, "content_filtered", False),
        ({"code": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content_filtered", False),
        ({"code": 400, "type": "rate_limit_error"}, "rate_limited", True),
    ],
)
def test_what_no_further_call_can_change_counts_for_more(
    error: dict[str, object], kind: str, is_retryable: bool
) -> None:
    """Where codes and words disagree."""
    failure = failure_of(PlayedAnswer([_stream(OPENAI, {"error": error})])).failure
    assert (failure.kind, failure.is_retryable) == (kind, is_retryable)


@pytest.mark.parametrize(
    ("words", "kind", "is_retryable"),
    [
        ("This model's maximum context length is 8192 tokens.", "rejected", False),
        ("context too long", "rejected", False),
        ("the request exceeds the available context size", "rejected", False),
        ("model 'x' not found", "rejected", False),
        ("You exceeded your current quota, please check your billing details.", "rate_limited", False),
        (
            "Rate limit reached: please add a payment method. Requests are limited to 3 per minute.",
            "rate_limited",
            True,
        ),
        ("Too many requests", "rate_limited", True),
        ("Quota exceeded for requests per minute", "rate_limited", True),
        ("server busy, please try again", "overloaded", True),
        ("The request took too long", "timeout", True),
        ("upstream timed out", "timeout", True),
        ("Error code: 502 - nothing", "unavailable", True),
        ("Error code: 413 - nothing", "rejected", False),
        ("llama runner process has terminated: exit status 2", "unavailable", True),
        ("CUDA error: invalid argument", "unavailable", True),
        ("Such is life", "unavailable", True),
    ],
)
def test_words_without_a_code_say_what_the_error_is(words: str, kind: str, is_retryable: bool) -> None:
    """An error that is nothing but a string is no reason to pay three times for a request that is refused."""
    failure = failure_of(PlayedAnswer([_stream(OPENAI, {"error": words})])).failure
    assert (failure.kind, failure.is_retryable) == (kind, is_retryable)
    assert words in failure.message


@pytest.mark.parametrize("status", [402, 429])
@pytest.mark.parametrize(("header", "is_retryable"), [({}, False), ({"x-should-retry": "true"}, True)])
def test_a_limit_on_spending_is_not_tried_again(status: int, header: dict[str, str], is_retryable: bool) -> None:
    """Anthropic names it in the details alone; only its own header says otherwise."""
    error = {"type": "rate_limit_error", "message": "No.", "details": {"error_code": "enforced_spend_limit_reached"}}
    body = json.dumps({"type": "error", "error": error}).encode()
    failure = failure_of(PlayedAnswer([body], status=status, headers=header), provider=ANTHROPIC).failure
    assert (failure.kind, failure.is_retryable) == ("rate_limited", is_retryable)
    assert failure.provider_code == "enforced_spend_limit_reached"


@pytest.mark.parametrize("status", [500, 502])
def test_a_prompt_that_is_too_long_is_not_sent_again(status: int) -> None:
    """Some servers crash over it and say so."""
    body = b'{"error": {"message": "Requested tokens exceed context window of 2048"}}'
    failure = failure_of(PlayedAnswer([body], status=status)).failure
    assert (failure.kind, failure.is_retryable) == ("rejected", False)


def test_a_traceback_is_not_told_but_for_its_last_line() -> None:
    """A traceback names the files of the server, and tells the reader of a job nothing."""
    words = (
        'Traceback (most recent call last):\n  File "/usr/lib/site-packages/server/app.py", line 3, in f\n'
        "    raise ValueError\nValueError: Requested tokens exceed the batch"
    )
    assert safe_words(words) == "ValueError: Requested tokens exceed the batch"
    body = json.dumps({"error": {"message": words, "type": "internal_server_error"}}).encode()
    for answer in (PlayedAnswer([body], status=500), PlayedAnswer([body])):
        failure = failure_of(answer).failure
        assert "Traceback" not in failure.message
        assert "site-packages" not in failure.message
        assert "exceed the batch" in failure.message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("cannot open /home/me/models/a.gguf: no", "cannot open (a path): no"),
        (r"cannot open C:\Users\me\a.gguf", "cannot open (a path)"),
        ('failed. File "/srv/x.py", line 7, in run', ""),
        (
            "see https://platform.openai.com/docs/usr/local/errors",
            "see https://platform.openai.com/docs/usr/local/errors",
        ),
        ("The model `and/or` does not exist", "The model `and/or` does not exist"),
    ],
)
def test_paths_of_the_server_s_files_are_not_told(words: str, told: str) -> None:
    """The address of a web page stays."""
    assert safe_words(words) == told or (not told and "/srv" not in safe_words(words))


def test_a_web_page_is_told_by_its_title_and_text() -> None:
    """Without its tags and scripts, and no more than a line of it."""
    page = b"<html><head><title>Sign&nbsp;in</title><style>p{}</style></head><body><script>x()</script><p>Please"
    assert page_text(page) == "Sign in Please"
    assert len(page_text(b"<p>" + b"word " * 10_000)) <= 200
