"""The routes of Durable Streams, read side: rows of the one table in `routes.py`."""

from app.http.operations import header, no_body, query
from app.http.response import JSON
from app.http.router import Kind, Route
from app.http.schemas import TEXT, Schema

_READ = (
    query("offset", TEXT, "-1 (the start of the current answer), now, or the Stream-Next-Offset of a response."),
    query("live", {"enum": ["long-poll", "sse"]}, "Wait for what comes, in one response or as a stream of events."),
    query("cursor", TEXT, "The last Stream-Cursor that the client received."),
    query("*", TEXT, "Parameters of other names are ignored, as the protocol has it."),
    header("If-None-Match", "The ETag of the response that the client has."),
)
_NOTHING_NEW = no_body("A long poll found nothing new; `Stream-Closed: true` means that nothing will come.")
_UNCHANGED = no_body("The client's response, by its ETag, is the current one.")
_REFUSALS = (400, 404, 409, 410, 429)
_ELEMENTS: Schema = {"type": "array", "items": {"anyOf": [TEXT, {"type": "object"}]}}


def _durable(content_type: str, schema: Schema, description: str) -> Schema:
    """A read of Durable Streams: content, or with `live=sse` the events `data` and `control`."""
    content = {content_type: {"schema": schema}, "text/event-stream": {"schema": TEXT}}
    return {"description": description, "content": content}


DURABLE_ROUTES = (
    Route(
        "GET",
        "/v1/jobs/{job_id}/durable/events",
        Kind.STREAM,
        "readDurableEvents",
        "Durable Streams: read all elements of the job's log, as a JSON stream.",
        {200: _durable(JSON, _ELEMENTS, "The log elements behind the offset."), 204: _NOTHING_NEW, 304: _UNCHANGED},
        _REFUSALS,
        _READ,
    ),
    Route(
        "GET",
        "/v1/jobs/{job_id}/durable/text",
        Kind.STREAM,
        "readDurableText",
        "Durable Streams: read the answer's text, as a text stream.",
        {200: _durable("text/plain", TEXT, "The text behind the offset."), 204: _NOTHING_NEW, 304: _UNCHANGED},
        _REFUSALS,
        _READ,
    ),
)
