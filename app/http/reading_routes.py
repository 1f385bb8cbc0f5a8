"""The routes that read an answer, from any cursor. Rows of the one table in `routes.py`."""

from typing import get_args

from app.http.durable_routes import DURABLE_ROUTES
from app.http.operations import SWITCH, event_stream, header, idempotency_key, json_body, limit, no_body, query
from app.http.router import Kind, Route
from app.http.schemas import TEXT, Schema, object_of, outcome, ref
from app.http.tasks import Task
from tokentail.log.element import Event

JOB_TOKENS = "/v1/jobs/{job_id}/tokens"
JOB_EVENTS = "/v1/jobs/{job_id}/events"
JOB_TEXT = "/v1/jobs/{job_id}/text"
JOB_STREAM = "/v1/jobs/{job_id}/stream"
JOB_SOCKET = "/v1/jobs/{job_id}/ws"
RAW_STREAM = "/stream"

_FROM_ZERO: Schema = {"type": "number", "minimum": 0}
_MILLISECONDS: Schema = {"type": "integer", "minimum": 0}
_TOKEN: Schema = {**TEXT, "description": "A token: one piece of text as the provider sent it."}
_EVENT: Schema = {"oneOf": [ref(kind.__name__) for kind in get_args(Event)]}
# The entry of a job that cannot be read, in the place of a poll's body.
_MISSING = object_of({"job_id": TEXT, "problem": ref("Problem")})
_STOP = no_body("The client has received everything and must not reconnect.")

_CURSOR = query("cursor", {"type": "string", "default": "0"}, "The position to continue at; 0 is the beginning.")
_TYPED = query("events", SWITCH, "1: typed events, as in the body of a poll of the job's events.")
_LINGER = query("linger_ms", _MILLISECONDS, "How much longer to gather tokens after each first one.")
_RANDOM = query(
    "rnd",
    TEXT,
    "Any text, such as a random number, by which proxies tell this long poll from equal ones. The server ignores it.",
)
_LAST_EVENT_ID = query(
    "lastEventId",
    TEXT,
    "Like the header Last-Event-ID, which has precedence, for clients that cannot send it. `Last-Event-ID`, "
    "`evs_last_event_id` and other spellings of these names are understood as well.",
)
_READ_POLL = (
    _CURSOR,
    query("wait", _FROM_ZERO, "How many seconds the server may wait for something new."),
    limit(1000, "The most log elements in the response; the server takes a number above 10000 for 10000."),
    query("linger_ms", _MILLISECONDS, "How much longer to gather tokens after the first one."),
    _RANDOM,
)
_READ_POLLS = (
    {
        **query(
            "job",
            {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 100},
            "ID:CURSOR of each job; the ID alone stands for the job's beginning.",
        ),
        "required": True,
    },
    query("wait", _FROM_ZERO, "How many seconds the server may wait for news of any of the jobs."),
    limit(1000, "The most log elements of each job."),
    _TYPED,
    _RANDOM,
)
_READ_STREAM = (
    header("Last-Event-ID", "The id of the last event that the client received; the stream continues behind it."),
    _LAST_EVENT_ID,
    query(
        "cursor",
        {"type": "string", "default": "0"},
        "The position to continue at, for a client that has a cursor and no event id.",
    ),
    _TYPED,
    _LINGER,
    limit(1000, "The most log elements in an event."),
)
_READ_SOCKET = (
    _CURSOR,
    _TYPED,
    limit(1000, "The most log elements in a frame."),
    _LINGER,
    query("token", TEXT, "A read token, for a client that can send neither a cookie nor a header."),
)
_SUBMIT_BY_QUERY = (
    query("query", TEXT, "The prompt. It is not needed where the stream continues."),
    query("model", TEXT, "The model."),
    query("max_tokens", {"type": "integer", "minimum": 1}, "The most tokens that the model may generate."),
    header("Last-Event-ID", "The stream continues with the job of this event; no job is submitted."),
    _LAST_EVENT_ID,
    idempotency_key("Requests with the same key and query make one job."),
)
_PLAIN_TEXT: Schema = {
    "description": "The text so far, of the current generation.",
    "content": {"text/plain": {"schema": TEXT}},
}


def _poll(name: str, item: Schema) -> Schema:
    """The schema of a poll's body, with items of this kind under this name."""
    return object_of(
        {
            "job_id": TEXT,
            "status": ref("Status"),
            name: {"type": "array", "items": item},
            "cursor": {"type": "string", "description": "The cursor for the next poll."},
            "reset": {"type": "boolean", "description": "The client must clear its text before it adds these."},
            "done": {"type": "boolean", "description": "The job has ended and all of it was read."},
            "poll_after_ms": {"type": "integer", "description": "How long to wait before the next poll."},
        },
        outcome(),
    )


READ = Task(
    "Read an answer",
    "Over short polls, long polls, Server-Sent Events or a WebSocket, from any cursor, by anyone who may.",
    (
        Route(
            "GET",
            JOB_TOKENS,
            Kind.STEPS,
            "pollTokens",
            "Read the job's tokens from a cursor on.",
            {200: json_body("Tokens", "The tokens behind the cursor, and the cursor for the next poll.")},
            (400, 404, 410, 422),
            _READ_POLL,
        ),
        Route(
            "GET",
            JOB_EVENTS,
            Kind.STEPS,
            "pollEvents",
            "Read all elements of the job's log, tokens and events, from a cursor on.",
            {200: json_body("Events", "The log elements behind the cursor, and the cursor for the next poll.")},
            (400, 404, 410, 422),
            _READ_POLL,
        ),
        Route(
            "GET",
            "/v1/poll",
            Kind.STEPS,
            "pollAny",
            "Read tokens of several jobs.",
            {200: json_body("Polls", "For each job, in the order of the query, what a poll of it returns.")},
            (400, 404, 422),
            _READ_POLLS,
        ),
        Route(
            "GET",
            JOB_TEXT,
            Kind.BLOCKING,
            "getText",
            "Read the text so far, of the current generation.",
            {200: _PLAIN_TEXT, 304: no_body("The client's text, by its ETag, is the current one.")},
            (404, 410),
            (header("If-None-Match", "The ETag of the text that the client has."),),
        ),
        Route(
            "GET",
            JOB_STREAM,
            Kind.STREAM,
            "streamJob",
            "Server-Sent Events: each event's data is a poll's body, its id the cursor.",
            {200: event_stream("Events until the job's end, each with the body of a poll."), 204: _STOP},
            (400, 404, 410, 422),
            _READ_STREAM,
        ),
        Route(
            "GET",
            JOB_SOCKET,
            Kind.SOCKET,
            "followJob",
            'WebSocket: each frame is a poll\'s body. The client may send {"type":"cancel"}.',
            {101: no_body("The WebSocket is open. Close code 1000 means that the job's end was sent.")},
            (400, 404, 410, 422, 429),
            _READ_SOCKET,
        ),
        Route(
            "GET",
            RAW_STREAM,
            Kind.STREAM,
            "streamText",
            "Submit and follow with a bare EventSource: an event for each token, then [DONE].",
            {200: event_stream("Events with the text of one token each, then one with [DONE]."), 204: _STOP},
            (400, 404, 406, 409, 410, 422, 429),
            _SUBMIT_BY_QUERY,
            is_writing_get=True,
        ),
        *DURABLE_ROUTES,
    ),
    {
        "Tokens": _poll("tokens", _TOKEN),
        "Events": _poll("events", {"anyOf": [_TOKEN, _EVENT]}),
        "Polls": object_of({"jobs": {"type": "array", "items": {"anyOf": [ref("Tokens"), ref("Events"), _MISSING]}}}),
    },
)
