"""The OpenAPI 3.1 document of the whole interface. A test holds it against the routes that there are."""

from functools import cache
from typing import Any

import msgspec

from app.answer import JSON, PROBLEM
from app.schemas import Schema, ref, schemas
from tokentail import __version__

_PROBLEMS = {
    400: "The body or the cursor cannot be read.",
    401: "No key of this server was sent.",
    403: "The Host name is foreign, or a page of another site sent this.",
    404: "There is no such job, or it is not yours.",
    409: "The Idempotency-Key was used for another request.",
    410: "The job's content has expired or was deleted.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field or parameter is not valid; `errors` names it.",
    429: "Too many jobs are open, or too many readers wait; Retry-After says when to try again.",
    503: "Redis is away or full, or no model is served yet; Retry-After says when to try again.",
}


_EVENTS: dict[str, Any] = {
    "description": "Events.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_SOCKET: dict[str, Any] = {"description": "Frames follow; close code 1000 is the end."}
_STOP: dict[str, Any] = {"description": "All was said: do not come again."}
_NOTHING: dict[str, Any] = {"description": "It is so."}


@cache
def openapi_document() -> bytes:
    """The document in JSON."""
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Tokentail",
                "version": __version__,
                "summary": "Durable LLM streaming over plain HTTP polling",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "paths": _paths(),
            "components": {
                "schemas": schemas(),
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "Needed only where the server has TOKENTAIL_API_KEYS set.",
                    }
                },
            },
            "security": [{"key": []}, {}],
        }
    )


def _paths() -> dict[str, Any]:
    job = [_parameter("job_id", "path", {"type": "string"}, "The job's id.")]
    by_id = "/v1/jobs/{job_id}"
    return {
        "/v1/jobs": {"post": _submit(), "get": _page()},
        by_id: {
            "parameters": job,
            "get": _operation("getJob", "Status and numbers of a job.", {200: _json("Job")}, (404, 410)),
            "delete": _operation(
                "deleteJob",
                "Cancel the job and erase its content. May be repeated.",
                {204: {"description": "Its content is gone."}},
                (404,),
            ),
        },
        f"{by_id}/tokens": {"parameters": job, "get": _poll("pollTokens", "Tokens from a cursor on.", "Tokens")},
        f"{by_id}/events": {
            "parameters": job,
            "get": _poll("pollEvents", "Everything that the log says from a cursor on.", "Events"),
        },
        f"{by_id}/text": {"parameters": job, "get": _text()},
        f"{by_id}/stream": {"parameters": job, "get": _stream()},
        f"{by_id}/ws": {"parameters": job, "get": _socket()},
        f"{by_id}/share": {
            "parameters": job,
            "post": _operation(
                "shareJob", "A link with which others may read the job.", {200: _json("Share")}, (404, 410)
            ),
        },
        "/stream": {"get": _raw_stream()},
        "/v1/session": {
            "post": _operation("openSession", "Trade a key for a browser's cookie.", {204: _NOTHING}, ()),
            "delete": _operation("closeSession", "Have the browser forget it.", {204: _NOTHING}, ()),
        },
        f"{by_id}/cancel": {
            "parameters": job,
            "post": _operation("cancelJob", "Stop the job. May be repeated.", {200: _json("Job")}, (404, 410)),
        },
        "/v1/poll": {"get": _poll_any()},
        "/v1/overview": {
            "get": _operation("overview", "How the whole deployment stands, in numbers.", {200: _json("Overview")}, ())
        },
        "/v1/models": {"get": _operation("listModels", "Models that can be asked for.", {200: _json("Models")}, ())},
        "/healthz": {"get": _open(_operation("health", "Whether this process answers.", {200: _json("Health")}, ()))},
        "/readyz": {"get": _open(_operation("ready", "Whether Redis answers.", {200: _json("Readiness")}, ()))},
    }


def _submit() -> Schema:
    headers = [
        _parameter("Prefer", "header", {"type": "string"}, "`wait=20`: answer 200 with all of it if it ends in time."),
        _idempotency_key("The same key and body make the same job."),
    ]
    answers = {
        202: _json("Job", "The job is accepted."),
        200: _json("Result", "It ended in the time that you gave it."),
    }
    operation = _operation("submitJob", "Submit a prompt.", answers, (400, 409, 410, 413, 415, 422, 429))
    body = {"required": True, "content": {JSON: {"schema": ref("GenerationRequest"), "example": {"prompt": "Hello!"}}}}
    return {**operation, "parameters": headers, "requestBody": body}


def _poll(name: str, summary: str, schema: str) -> Schema:
    whole = {"type": "integer", "minimum": 1, "default": 1000}
    query = [
        _parameter("cursor", "query", {"type": "string", "default": "0"}, "Where to go on; 0 is the beginning."),
        _parameter("wait", "query", {"type": "number", "minimum": 0}, "Seconds to wait for something new."),
        _parameter("limit", "query", whole, "At most this many log elements; above 10000 it is shortened."),
        _parameter(
            "linger_ms", "query", {"type": "integer", "minimum": 0}, "Gather this much longer after the first token."
        ),
    ]
    return {**_operation(name, summary, {200: _json(schema)}, (400, 404, 410, 422)), "parameters": query}


def _poll_any() -> Schema:
    jobs = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100}
    query = [
        {**_parameter("job", "query", jobs, "ID:CURSOR of each job; ID alone is its beginning."), "required": True},
        _parameter("wait", "query", {"type": "number", "minimum": 0}, "Seconds to wait for news of any of them."),
        _parameter("limit", "query", {"type": "integer", "minimum": 1, "default": 1000}, "Elements of each, at most."),
    ]
    operation = _operation("pollAny", "Tokens of several jobs.", {200: _json("Polls")}, (400, 404, 422))
    return {**operation, "parameters": query}


def _stream() -> Schema:
    query = [
        _parameter("Last-Event-ID", "header", {"type": "string"}, "The id of the last event: goes on behind it."),
        _parameter("cursor", "query", {"type": "string", "default": "0"}, "The same, for who begins in mid-answer."),
        _parameter("events", "query", {"enum": ["0", "1"]}, "1: typed events, as in /events."),
        _parameter("linger_ms", "query", {"type": "integer", "minimum": 0}, "Gather this much longer each time."),
    ]
    summary = "Server-Sent Events: each event's data is a poll's body, its id the cursor."
    operation = _operation("streamJob", summary, {200: _EVENTS, 204: _STOP}, (400, 404, 410, 422))
    return {**operation, "parameters": query}


def _socket() -> Schema:
    query = [
        _parameter("cursor", "query", {"type": "string", "default": "0"}, "Where to go on; 0 is the beginning."),
        _parameter("events", "query", {"enum": ["0", "1"]}, "1: typed events, as in /events."),
        _parameter(
            "limit", "query", {"type": "integer", "minimum": 1, "default": 1000}, "Elements of a frame, at most."
        ),
        _parameter("linger_ms", "query", {"type": "integer", "minimum": 0}, "Gather this much longer each time."),
        _parameter("token", "query", {"type": "string"}, "A read token, where a cookie or a header cannot be sent."),
    ]
    summary = 'WebSocket: each frame is a poll\'s body. The client may send {"type":"cancel"}.'
    operation = _operation("followJob", summary, {101: _SOCKET}, (400, 404, 410, 422, 429))
    return {**operation, "parameters": query}


def _raw_stream() -> Schema:
    query = [
        _parameter("query", "query", {"type": "string"}, "The prompt; not needed with Last-Event-ID."),
        _parameter("model", "query", {"type": "string"}, "The model."),
        _parameter("max_tokens", "query", {"type": "integer", "minimum": 1}, "The answer's length."),
        _parameter(
            "Last-Event-ID", "header", {"type": "string"}, "Goes on with the same job, and never starts another."
        ),
        _idempotency_key("The same key and query make the same job."),
    ]
    summary = "Submit and follow with a bare EventSource: an event for each token, then [DONE]."
    operation = _operation("streamText", summary, {200: _EVENTS, 204: _STOP}, (400, 404, 409, 410, 422, 429))
    return {**operation, "parameters": query}


def _idempotency_key(description: str) -> Schema:
    return _parameter("Idempotency-Key", "header", {"type": "string", "minLength": 1, "maxLength": 255}, description)


def _text() -> Schema:
    whole: Schema = {"description": "The text so far.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    answers: dict[int, Schema] = {200: whole, 304: {"description": "It is what you have."}}
    tag = [_parameter("If-None-Match", "header", {"type": "string"}, "The ETag of what you have.")]
    return {**_operation("getText", "The current answer's text so far.", answers, (404, 410)), "parameters": tag}


def _page() -> Schema:
    query = [
        _parameter("limit", "query", {"type": "integer", "minimum": 1, "default": 50}, "Jobs a page; 200 at most."),
        _parameter("older_than", "query", {"type": "string"}, "A job id; `next` has it."),
    ]
    return {**_operation("listJobs", "Your jobs, newest first.", {200: _json("Jobs")}, (422,)), "parameters": query}


def _operation(name: str, summary: str, answers: dict[int, Schema], problems: tuple[int, ...]) -> Schema:
    told = {status: _told(status) for status in sorted((*problems, 401, 403, 503))}
    responses = {str(status): answer for status, answer in {**answers, **told}.items()}
    return {"operationId": name, "summary": summary, "responses": responses}


def _open(operation: Schema) -> Schema:
    del operation["responses"]["401"]
    return {**operation, "security": []}


def _json(schema: str, description: str = "It is so.") -> Schema:
    return {"description": description, "content": {JSON: {"schema": ref(schema)}}}


def _told(status: int) -> Schema:
    return {"description": _PROBLEMS[status], "content": {PROBLEM: {"schema": ref("Problem")}}}


def _parameter(name: str, where: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }
