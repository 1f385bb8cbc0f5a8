"""The response: what every handler returns; and the one table from domain errors to HTTP.

Every error leaves the server as a problem document by RFC 9457. Pure: no framework, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import msgspec
from werkzeug.http import parse_etags, unquote_etag

from app.http.rate_limits import rate_headers
from tokentail.errors import (
    IdempotencyConflict,
    InvalidRequest,
    JobGone,
    JobNotFound,
    LimitReached,
    MalformedBody,
    MalformedCursor,
    ModelForbidden,
    NothingServed,
    NotReplicated,
    ReferenceNotFound,
    ServerStopping,
    StoreFull,
    StoreUnavailable,
    TokentailError,
    TooManyJobs,
    TooManyReaders,
    Unreadable,
)

JSON = "application/json"
PROBLEM = "application/problem+json"
EVENT_STREAM = {  # the headers of a stream of server-sent events
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would gather it
}
PROBLEM_NAMES = "urn:tokentail:problem:"  # what the types of our own problems begin with
# Apache's mod_deflate and mod_brotli, Caddy, Jetty. None of our own ETags ends like this.
_MARKS_OF_COMPRESSION = ("-gzip", "-br", "-zstd", "--gzip")
OPEN = "no-store"  # no cache may keep what may still change, or an error


@dataclass(frozen=True)
class Response:
    """One HTTP response. `headers` are those of this project; the server adds Date, Content-Length and the like."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def plus(self, headers: Mapping[str, str]) -> "Response":
        """This response with more headers; where both have a header, this response's value stays."""
        return replace(self, headers={**headers, **self.headers})


def json_response(
    body: bytes | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response in JSON, from a value or from encoded JSON."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(status, {"Content-Type": JSON, "Cache-Control": OPEN, **(headers or {})}, content)


def media_type_refusal(headers: Mapping[str, str]) -> "Response | None":
    """The response to a body that is not said to be JSON, or is compressed; None when it is plain JSON."""
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return problem(415, "Send the body as it is, without Content-Encoding.", {"Accept-Encoding": "identity"})
    if headers.get("content-type", "").partition(";")[0].strip().lower() == JSON:
        return None
    return problem(415, f"Send the request as {JSON}.", {"Accept-Post": JSON})


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """A problem whose title is the status's own phrase (RFC 9457, 4.2.1: type about:blank)."""
    return _problem("about:blank", HTTPStatus(status).phrase, status, detail, headers or {}, more)


def is_match(if_none_match: str | None, etag: str) -> bool:
    """Whether the list of a client's ETags contains this one (RFC 9110, 13.1.2: weak comparison).

    Proxies that compress mark the ETag, and some pass their mark on in If-None-Match.
    """
    known, tag = parse_etags(if_none_match), unquote_etag(etag)[0]
    return any(known.contains_weak(f"{tag}{mark}") for mark in ("", *_MARKS_OF_COMPRESSION))


def problem_of(error: TokentailError) -> Response | None:
    """The problem document for an error of the domain; None for an error that no handler should raise."""
    for kind, (status, name, title, headers) in _TABLE.items():
        if isinstance(error, kind):
            more: dict[str, Any] = {}
            if isinstance(error, InvalidRequest):
                more["errors"] = [{"field": fault.field, "message": fault.message} for fault in error.faults]
            own = headers
            if isinstance(error, TooManyJobs | LimitReached):
                own = {"Retry-After": str(error.retry_after_s)}
            if isinstance(error, LimitReached):
                own |= rate_headers(error.allowance)
            return _problem(f"{PROBLEM_NAMES}{name}", title, status, str(error), own, more)
    return None


# The type is a name, not an address: nothing has to be hosted there, and programs can compare it.
_TABLE: dict[type[TokentailError], tuple[int, str, str, dict[str, str]]] = {
    MalformedBody: (400, "malformed-body", "The body cannot be read", {}),
    MalformedCursor: (400, "malformed-cursor", "The cursor cannot be read", {}),
    ReferenceNotFound: (404, "reference-not-found", "What the request names is not there", {}),
    InvalidRequest: (422, "invalid-request", "The request is not valid", {}),
    JobNotFound: (404, "job-not-found", "There is no such job", {}),
    JobGone: (410, "job-gone", "The job's content is gone", {}),
    IdempotencyConflict: (409, "idempotency-conflict", "The key was used for another request", {}),
    TooManyJobs: (429, "too-many-jobs", "Too many jobs are open", {}),
    TooManyReaders: (429, "too-many-readers", "Too many readers wait", {"Retry-After": "5"}),
    ServerStopping: (503, "server-stopping", "The server is stopping", {"Retry-After": "2"}),
    LimitReached: (429, "limit-reached", "A limit of the key is reached", {}),
    ModelForbidden: (403, "model-forbidden", "The key may not use this model", {}),
    NothingServed: (503, "nothing-served", "No model is served yet", {"Retry-After": "2"}),
    NotReplicated: (503, "not-replicated", "No replica has the job", {"Retry-After": "2"}),
    StoreUnavailable: (503, "store-unavailable", "The store cannot be used now", {"Retry-After": "2"}),
    StoreFull: (503, "store-full", "The store is full", {"Retry-After": "30"}),
    Unreadable: (503, "unreadable", "The job's data cannot be read", {"Retry-After": "2"}),
}


def _problem(
    kind: str, title: str, status: int, detail: str, headers: Mapping[str, str], more: Mapping[str, Any]
) -> Response:
    document = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    return Response(status, {"Content-Type": PROBLEM, "Cache-Control": OPEN, **headers}, msgspec.json.encode(document))
