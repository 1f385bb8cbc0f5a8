"""The errors of OpenAI-compatible servers, in an answer of any status or in the middle of a stream, as failures. Pure.

`{"error": {"message", "type", "code"}}` is OpenAI's form, `{"object": "error", "message"}` vLLM's, `{"detail"}` that of
servers made with FastAPI, `{"error": "…"}` that of some more.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from tokentail.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.providers.http_failure import retry_after_s, status_failure, status_kind

_IMAGE_CODES = (
    *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "invalid_image_mode"),
    *("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "empty_image_file"),
    *("unsupported_image_media_type", "failed_to_download_image", "image_file_not_found"),
)
# The provider's own word, where it says more than the status does.
_CODES = {
    "insufficient_quota": (FailureKind.RATE_LIMITED, False),  # waiting does not help: somebody has to pay
    "rate_limit_exceeded": (FailureKind.RATE_LIMITED, True),
    "rate_limit_error": (FailureKind.RATE_LIMITED, True),
    "content_filter": (FailureKind.CONTENT_FILTERED, False),
    "content_policy_violation": (FailureKind.CONTENT_FILTERED, False),
    "invalid_prompt": (FailureKind.CONTENT_FILTERED, False),  # it says that the prompt breaks the usage policy
    "bio_policy": (FailureKind.CONTENT_FILTERED, False),
    "image_content_policy_violation": (FailureKind.CONTENT_FILTERED, False),
    "overloaded_error": (FailureKind.OVERLOADED, True),
    "server_overloaded": (FailureKind.OVERLOADED, True),
    "timeout": (FailureKind.TIMEOUT, True),
    "server_error": (FailureKind.UNAVAILABLE, True),
    "internal_server_error": (FailureKind.UNAVAILABLE, True),
    "context_length_exceeded": (FailureKind.REJECTED, False),
    "invalid_request_error": (FailureKind.REJECTED, False),
    **dict.fromkeys(_IMAGE_CODES, (FailureKind.REJECTED, False)),
    "invalid_api_key": (FailureKind.REJECTED, False),
    "authentication_error": (FailureKind.REJECTED, False),
    # Anthropic's own, whose errors have OpenAI's form.
    "billing_error": (FailureKind.RATE_LIMITED, False),
    "permission_error": (FailureKind.REJECTED, False),
    "not_found_error": (FailureKind.REJECTED, False),
    "request_too_large": (FailureKind.REJECTED, False),
    "timeout_error": (FailureKind.TIMEOUT, True),
    "api_error": (FailureKind.UNAVAILABLE, True),
}


def body_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """The failure for a whole answer that is not a stream."""
    value = _json(body)
    words, codes = _said(value)
    is_page = body.lstrip()[:1] == b"<"
    if status != 200:
        code = codes[0] if codes else None
        failure = status_failure(status, headers, words or ("a web page" if is_page else ""), code)
        return _sharpened(failure, codes, headers)
    if words:
        return stream_failure(value)
    what = "a web page" if is_page else "JSON" if value is not None else "something"
    message = f"The provider answered with {what} that is no event stream; check its address."
    return provider_failure(FailureKind.MALFORMED, message, status=status)


def stream_failure(value: Any) -> ProviderFailure:
    """The failure for an error that a provider reports under status 200, as decoded JSON."""
    words, codes = _said(value)
    kind, is_retryable = FailureKind.UNAVAILABLE, True
    for code in reversed(codes):  # the first is the most particular
        if code in _CODES:
            kind, is_retryable = _CODES[code]
        elif code.isdecimal() and 400 <= int(code[:9]) <= 599:  # some send the status that they would have sent
            kind, is_retryable = status_kind(int(code))
    is_about_key = "invalid_api_key" in codes or "authentication_error" in codes or "401" in codes
    message = "The provider refused the key that the worker uses." if is_about_key else f"The provider failed: {words}"
    return provider_failure(kind, message, is_retryable=is_retryable, status=200, code=codes[0] if codes else None)


def is_error(value: Any) -> bool:
    """Whether a chunk's JSON reports an error."""
    return bool(_said(value)[0])


def _sharpened(failure: ProviderFailure, codes: list[str], headers: Mapping[str, str]) -> ProviderFailure:
    """The status says whether it is the request, the key or the provider; its own word may say more."""
    known = next((_CODES[code] for code in codes if code in {"insufficient_quota", "content_filter"}), None)
    if known is None:
        return failure
    old = failure.failure
    sharper = msgspec.structs.replace(old, kind=known[0], is_retryable=known[1])
    return ProviderFailure(sharper, retry_after_s(headers))


def _said(value: Any) -> tuple[str, list[str]]:
    """The provider's words, and its codes, the most particular first. Empty when it reports no error."""
    if isinstance(value, list) and value:  # Gemini's compatible endpoint wraps its errors in a list
        value = value[0]
    if not isinstance(value, dict):
        return "", []
    error = value.get("error")
    if not error and value.get("object") == "error":
        error = value
    if not error:
        error = value.get("detail") and {"message": _text(value["detail"])}
    if not error:
        return "", []
    if not isinstance(error, dict):
        error = {"message": error}
    codes = [_text(error[name]) for name in ("code", "type", "status") if error.get(name)]
    return _text(error.get("message") or error.get("detail") or "it gave no reason"), codes


def _text(value: Any) -> str:
    """A string as it is. A structure may repeat the request, so only a note of it is kept."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else "(details left out)"


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
