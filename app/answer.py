"""The answer: what every call gives back, whatever server carries it; and the one table from domain errors to HTTP.

Errors leave as RFC 9457 problem documents, all of them. Pure: no framework, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import msgspec

from tokentail.errors import (
    IdempotencyConflict,
    InvalidRequest,
    JobGone,
    JobNotFound,
    MalformedBody,
    MalformedCursor,
    NothingServed,
    StoreFull,
    StoreUnavailable,
    TokentailError,
    TooManyJobs,
)

JSON = "application/json"
PROBLEM = "application/problem+json"
OPEN = "no-store"  # what may still change, or is an error, is kept by nobody


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `headers` are ours alone; the server adds Date, Content-Length and the like."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def plus(self, headers: Mapping[str, str]) -> "Answer":
        """The same with more headers; its own come first."""
        return replace(self, headers={**headers, **self.headers})


def json_answer(body: bytes | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON, from a value or from JSON that is ready."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answer(status, {"Content-Type": JSON, "Cache-Control": OPEN, **(headers or {})}, content)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    """A problem whose title is the status's own phrase (RFC 9457, 4.2.1: type about:blank)."""
    return _problem("about:blank", HTTPStatus(status).phrase, status, detail, headers or {}, more)


def is_match(if_none_match: str | None, etag: str) -> bool:
    """Whether a client has what has this ETag (RFC 9110, 13.1.2: weak comparison with any of the list)."""
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return etag in tags or "*" in tags


def problem_of(error: TokentailError) -> Answer | None:
    """The problem document for an error of the domain; None for one that no call should have let out."""
    for kind, (status, name, title, headers) in _TABLE.items():
        if isinstance(error, kind):
            more: dict[str, Any] = {}
            if isinstance(error, InvalidRequest):
                more["errors"] = [{"field": fault.field, "message": fault.message} for fault in error.faults]
            own = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooManyJobs) else headers
            return _problem(f"urn:tokentail:problem:{name}", title, status, str(error), own, more)
    return None


# The type is a name, not an address: nobody has to host it, and a program can switch on it.
_TABLE: dict[type[TokentailError], tuple[int, str, str, dict[str, str]]] = {
    MalformedBody: (400, "malformed-body", "The body cannot be read", {}),
    MalformedCursor: (400, "malformed-cursor", "The cursor cannot be read", {}),
    InvalidRequest: (422, "invalid-request", "The request is not valid", {}),
    JobNotFound: (404, "job-not-found", "There is no such job", {}),
    JobGone: (410, "job-gone", "The job's content is gone", {}),
    IdempotencyConflict: (409, "idempotency-conflict", "The key was used for another request", {}),
    TooManyJobs: (429, "too-many-jobs", "Too many jobs are open", {}),
    NothingServed: (503, "nothing-served", "No model is served yet", {"Retry-After": "2"}),
    StoreUnavailable: (503, "store-unavailable", "The store does not answer", {"Retry-After": "2"}),
    StoreFull: (503, "store-full", "The store is full", {"Retry-After": "30"}),
}


def _problem(
    kind: str, title: str, status: int, detail: str, headers: Mapping[str, str], more: Mapping[str, Any]
) -> Answer:
    document = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    return Answer(status, {"Content-Type": PROBLEM, "Cache-Control": OPEN, **headers}, msgspec.json.encode(document))
