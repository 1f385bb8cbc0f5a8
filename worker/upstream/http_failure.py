"""What an HTTP status means for a job, for every provider alike. Pure."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure

_KINDS = {
    402: (FailureKind.RATE_LIMITED, False),  # somebody has to pay
    408: (FailureKind.TIMEOUT, True),
    409: (FailureKind.UNAVAILABLE, True),
    425: (FailureKind.UNAVAILABLE, True),
    429: (FailureKind.RATE_LIMITED, True),
    499: (FailureKind.UNAVAILABLE, True),  # somebody between cancelled the call
    501: (FailureKind.REJECTED, False),
    503: (FailureKind.OVERLOADED, True),
    504: (FailureKind.TIMEOUT, True),
    524: (FailureKind.TIMEOUT, True),  # Cloudflare's word for 504
    529: (FailureKind.OVERLOADED, True),
}


KEY_REFUSED = "The provider refused the key that the worker uses"


def status_kind(status: int) -> tuple[FailureKind, bool]:
    """The kind of failure that a status stands for, and whether to try again."""
    if status in _KINDS:
        return _KINDS[status]
    return (FailureKind.UNAVAILABLE, True) if status >= 500 else (FailureKind.REJECTED, False)


def status_failure(status: int, headers: Mapping[str, str], words: str, code: str | None) -> ProviderFailure:
    """The failure for a status that is not 200; `words` are the provider's own, empty where it has none to quote."""
    kind, is_retryable = status_kind(status)
    is_retryable = should_retry(headers, is_retryable)
    if status in {401, 403}:
        # Providers quote a part of the key in these answers.
        message = f"{KEY_REFUSED} (status {status})."
    elif 300 <= status < 400:
        message = f"The provider redirects (status {status}), which is not followed; set its final address."
    elif status in {404, 405} and not words:
        message = f"The provider answered with status {status}; is the path of its address right?"
    else:
        message = f"The provider answered with status {status}" + (f": {words}" if words else ".")
    return provider_failure(
        kind, message, is_retryable=is_retryable, status=status, code=code, retry_after_s=retry_after_s(headers)
    )


def should_retry(headers: Mapping[str, str], is_retryable: bool) -> bool:
    """What the provider itself says of it, where the status alone misleads: a limit on spending is a 429, too."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""), is_retryable)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long to wait, from `retry-after-ms` or `retry-after` (seconds, or a date: RFC 9110, 10.2.3)."""
    if (ms := _number(headers.get("retry-after-ms", ""))) is not None:
        return ms / 1000
    text = headers.get("retry-after", "")
    if (seconds := _number(text)) is not None:
        return seconds
    then = _unix_time(text)
    if then is None:
        return None
    now = _unix_time(headers.get("date", ""))  # the server's own clock, where it shows it
    return max(0.0, then - (time.time() if now is None else now))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None


def _unix_time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
