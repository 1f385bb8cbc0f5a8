"""The errors of providers, of whatever dialect and form, as failures. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.upstream.error_forms import Told, told_in
from worker.upstream.error_text import page_text, safe_words
from worker.upstream.error_words import DEFAULT, Meaning, meaning_of
from worker.upstream.http_failure import KEY_REFUSED, retry_after_s, should_retry, status_failure

_BROKEN_JSON = re.compile(r"\"\s*[:}\]]|^[{\"]|^\[(?![A-Za-z ]{1,20}\])")  # and no level before a log's words
_TOO_MUCH = (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.TIMEOUT)


def body_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """The failure for a whole answer that is not a stream."""
    value = _json(body)
    told = told_in(value, is_flat=True)
    is_page = body.lstrip()[:1] == b"<"
    page_words = page_text(body) if is_page else ""
    if status != 200:
        page = f"a web page: {page_words}" if page_words else "a web page" if is_page else ""
        return _status_failure(status, headers, told or Told(page))
    if told is not None:
        return _failure(told, headers)
    what = "a web page" if is_page else "JSON" if value is not None else "something"
    message = f"The provider answered with {what} that is no event stream; check its address."
    message += f" It says: {page_words}" if page_words else ""
    return provider_failure(FailureKind.MALFORMED, message, status=status)


def page_failure(page: bytes) -> ProviderFailure:
    """The failure for JSON or a web page under status 200, in the place of a stream or amid one."""
    return body_failure(200, {}, page)


def value_failure(value: Any, *, is_flat: bool = False) -> ProviderFailure | None:
    """The failure that an event's JSON reports; None where it reports none.

    With `is_flat` the event has nothing that its dialect knows, so a message and a code are an error by themselves.
    """
    told = told_in(value, is_flat=is_flat)
    return None if told is None else _failure(told, {})


def named_failure(value: Any) -> ProviderFailure:
    """The failure for JSON that is known to be an error, whatever its form."""
    told = told_in(value, is_flat=True) or told_in({"error": value or True}, is_flat=True)
    return _failure(told or Told("it gave no reason"), {})


def line_failure(text: str) -> ProviderFailure | None:
    """The failure for a line that is no JSON object where one belongs; None for what is only broken JSON.

    A word such as `error:` may stand before an error's JSON, as in a log.
    """
    encoded = text.encode("utf-8", "replace")
    value = _json(encoded)
    if value is None and isinstance(value := _json(encoded[max(encoded.find(b"{"), 0) :]), dict):
        return value_failure(value, is_flat=True)
    if isinstance(value, list):
        return value_failure(value)
    said = value if isinstance(value, str) else page_text(encoded) if text[:1] == "<" else text
    if said is text and (value is not None or _BROKEN_JSON.search(text)):
        return None
    # No protocol stands behind plain words, and the same request meets the same words: it is only tried again where
    # they say that the provider has too much to do.
    meaning = meaning_of(said) or Meaning(FailureKind.MALFORMED)
    return words_failure(said, meaning._replace(is_retryable=meaning.is_retryable and meaning.kind in _TOO_MUCH))


def words_failure(words: str, meaning: Meaning | None = None) -> ProviderFailure:
    """The failure for the plain words of an error."""
    said = safe_words(words) or "it gave no reason"
    meaning = meaning or meaning_of(said) or DEFAULT
    message = f"{KEY_REFUSED}." if meaning.is_about_key else f"The provider failed: {said}"
    return provider_failure(meaning.kind, message, is_retryable=meaning.is_retryable, status=200)


def without_error(value: Any) -> Any:
    """An event that has an error beside its text, without the error and without the last word that goes with it."""
    if isinstance(value, list):
        return [without_error(each) for each in value]
    if not isinstance(value, dict):
        return value
    gone = {"error", "errors", "finish_reason", "finishReason"}
    kept = {name: each for name, each in value.items() if name not in gone and not name.startswith("x_")}
    return {name: without_error(each) if name in {"choices", "candidates"} else each for name, each in kept.items()}


def _failure(told: Told, headers: Mapping[str, str]) -> ProviderFailure:
    meaning = told.meaning(DEFAULT) or DEFAULT
    message = f"{KEY_REFUSED}." if meaning.is_about_key else f"The provider failed: {told.words}"
    return provider_failure(
        meaning.kind,
        message,
        is_retryable=should_retry(headers, meaning.is_retryable),
        status=200,
        code=told.code,
        retry_after_s=told.delay_s,
    )


def _status_failure(status: int, headers: Mapping[str, str], told: Told) -> ProviderFailure:
    """The status shows what is at fault: request, key or provider; what no call can change counts first."""
    failure = status_failure(status, headers, told.words, told.code)
    meaning, old = told.meaning(None), failure.failure
    if meaning is None:
        return failure
    wait_s = retry_after_s(headers)
    if meaning.is_about_key and status in {400, 401, 403}:
        message = f"{KEY_REFUSED} (status {status})."
        return provider_failure(
            FailureKind.REJECTED, message, status=status, code=told.code, retry_after_s=failure.retry_after_s
        )
    is_for_good = not meaning.is_retryable and (meaning.kind != FailureKind.REJECTED or status >= 500)
    if is_for_good and not meaning.is_about_key:
        is_retryable = should_retry(headers, False)
        old = msgspec.structs.replace(old, kind=meaning.kind, is_retryable=is_retryable)
    return ProviderFailure(old, told.delay_s if wait_s is None else wait_s, failure.words)


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
