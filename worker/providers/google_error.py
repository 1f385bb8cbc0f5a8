"""The errors of Google's APIs (google.rpc.Status as JSON), of any status or in a stream, as failures. Pure.

`{"error": {"code": 429, "message", "status": "RESOURCE_EXHAUSTED", "details": […]}}`, bare or in a list.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tokentail.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.providers import openai_error
from worker.providers.http_failure import retry_after_s, should_retry, status_kind

# The status's word, which says more than its number and may come without one.
_KINDS = {
    "CANCELLED": (FailureKind.UNAVAILABLE, True),
    "DEADLINE_EXCEEDED": (FailureKind.TIMEOUT, True),
    "FAILED_PRECONDITION": (FailureKind.REJECTED, False),
    "INTERNAL": (FailureKind.UNAVAILABLE, True),
    "INVALID_ARGUMENT": (FailureKind.REJECTED, False),
    "NOT_FOUND": (FailureKind.REJECTED, False),
    "PERMISSION_DENIED": (FailureKind.REJECTED, False),
    "RESOURCE_EXHAUSTED": (FailureKind.RATE_LIMITED, True),
    "UNAUTHENTICATED": (FailureKind.REJECTED, False),
    "UNAVAILABLE": (FailureKind.OVERLOADED, True),
}
# A bad key is status 400, INVALID_ARGUMENT; only a detail names it.
_KEY_WORDS = {"UNAUTHENTICATED", "PERMISSION_DENIED", "API_KEY_INVALID", "API_KEY_EXPIRED"}
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s", re.ASCII)


def body_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """The failure for a whole answer that is not a stream."""
    error = _error(_json(body))
    if error is None:  # a proxy's words, then
        return openai_error.body_failure(status, headers, body)
    return _failure(error, status, headers)


def page_failure(body: bytes) -> ProviderFailure:
    """The failure for JSON or a web page under status 200."""
    return body_failure(200, {}, body)


def event_failure(error: Any) -> ProviderFailure:
    """The failure for an `error` in the middle of a stream."""
    return _failure(error if isinstance(error, dict) else {"message": error}, 200, {})


def _failure(error: dict[str, Any], status: int, headers: Mapping[str, str]) -> ProviderFailure:
    word, number, words = error.get("status"), error.get("code"), error.get("message")
    meant = number if status == 200 and isinstance(number, int) and 400 <= number <= 599 else status
    kind, is_retryable = status_kind(meant) if meant != 200 else (FailureKind.UNAVAILABLE, True)
    if isinstance(word, str):
        kind, is_retryable = _KINDS.get(word, (kind, is_retryable))
    reasons = {reason for detail in _details(error) if isinstance(reason := detail.get("reason"), str)}
    if meant in {401, 403} or not _KEY_WORDS.isdisjoint({word if isinstance(word, str) else "", *reasons}):
        message = f"The provider refused the key that the worker uses (status {meant})."
    else:
        said = f": {words}" if isinstance(words, str) and words else "."
        message = f"The provider failed with status {meant}{said}" if meant != 200 else f"The provider failed{said}"
    wait_s = retry_after_s(headers)
    return provider_failure(
        kind,
        message,
        is_retryable=should_retry(headers, is_retryable),
        status=status,
        code=word if isinstance(word, str) else str(number) if isinstance(number, int) else None,
        retry_after_s=_delay_s(error) if wait_s is None else wait_s,
    )


def _delay_s(error: dict[str, Any]) -> float | None:
    """What google.rpc.RetryInfo asks for, such as "34.07s"."""
    for detail in _details(error):
        if isinstance(delay := detail.get("retryDelay"), str) and (found := _DELAY.fullmatch(delay)):
            return float(found[1])
    return None


def _details(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    details = error.get("details")
    yield from (detail for detail in (details if isinstance(details, list) else ()) if isinstance(detail, dict))


def _error(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) and error else None


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
