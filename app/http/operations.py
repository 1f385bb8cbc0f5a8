"""Parameters and responses of the OpenAPI document, as the table of routes needs them. Pure."""

from typing import Any

from app.http.response import JSON
from app.http.schemas import Schema, ref


def json_body(schema: str, description: str) -> Schema:
    """A response in JSON. The description is a sentence: what the response contains."""
    return {"description": description, "content": {JSON: {"schema": ref(schema)}}}


def openai_body(description: str) -> Schema:
    """A response in OpenAI's form, which OpenAI's own document describes."""
    return {"description": description, "content": {JSON: {"schema": {"type": "object"}}}}


OPENAI_REQUEST: Schema = {
    "required": True,
    "content": {
        JSON: {"schema": {"type": "object", "description": "OpenAI's own request; docs/openai.md has the fields."}}
    },
}
AI_SDK_REQUEST: Schema = {
    "required": True,
    "content": {
        JSON: {"schema": {"type": "object", "description": "A chat's id and messages, and fields of a submission."}}
    },
}


def parameter(name: str, where: str, schema: Schema, description: str) -> Schema:
    """A parameter; only those of the path are required."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }


def _query(name: str, schema: Schema, description: str) -> Schema:
    return parameter(name, "query", schema, description)


def _header(name: str, description: str, **limits: int) -> Schema:
    return parameter(name, "header", {"type": "string", **limits}, description)


def idempotency_key(description: str) -> Schema:
    """The header Idempotency-Key."""
    return _header("Idempotency-Key", description, minLength=1, maxLength=255)


_FROM_ZERO: Schema = {"type": "number", "minimum": 0}
_MILLISECONDS: Schema = {"type": "integer", "minimum": 0}
_TEXT: dict[str, Any] = {"type": "string"}
_USER: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 128}
_SWITCH: dict[str, Any] = {"enum": ["0", "1"]}

_CURSOR = _query("cursor", {"type": "string", "default": "0"}, "The position to continue at; 0 is the beginning.")
_TYPED = _query("events", {"enum": ["0", "1"]}, "1: typed events, as in the body of a poll of the job's events.")
_LINGER = _query("linger_ms", _MILLISECONDS, "How much longer to gather tokens after each first one.")
_RANDOM = _query(
    "rnd",
    _TEXT,
    "Any text, such as a random number, by which proxies tell this long poll from equal ones. The server ignores it.",
)

_LAST_EVENT_ID = _query(
    "lastEventId",
    _TEXT,
    "Like the header Last-Event-ID, which has precedence, for clients that cannot send it. `Last-Event-ID`, "
    "`evs_last_event_id` and other spellings of these names are understood as well.",
)

READ_POLL = (
    _CURSOR,
    _query("wait", _FROM_ZERO, "How many seconds the server may wait for something new."),
    _query(
        "limit",
        {"type": "integer", "minimum": 1, "default": 1000},
        "The most log elements in the response; the server takes a number above 10000 for 10000.",
    ),
    _query("linger_ms", _MILLISECONDS, "How much longer to gather tokens after the first one."),
    _RANDOM,
)
READ_POLLS = (
    {
        **_query(
            "job",
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100},
            "ID:CURSOR of each job; the ID alone stands for the job's beginning.",
        ),
        "required": True,
    },
    _query("wait", _FROM_ZERO, "How many seconds the server may wait for news of any of the jobs."),
    _query("limit", {"type": "integer", "minimum": 1, "default": 1000}, "The most log elements of each job."),
    _TYPED,
    _RANDOM,
)
READ_STREAM = (
    _header("Last-Event-ID", "The id of the last event that the client received; the stream continues behind it."),
    _LAST_EVENT_ID,
    _query(
        "cursor",
        {"type": "string", "default": "0"},
        "The position to continue at, for a client that has a cursor and no event id.",
    ),
    _TYPED,
    _LINGER,
    _query("limit", {"type": "integer", "minimum": 1, "default": 1000}, "The most log elements in an event."),
)
READ_SOCKET = (
    _CURSOR,
    _TYPED,
    _query("limit", {"type": "integer", "minimum": 1, "default": 1000}, "The most log elements in a frame."),
    _LINGER,
    _query("token", _TEXT, "A read token, for a client that can send neither a cookie nor a header."),
)
SUBMIT = (
    _header("Prefer", "`wait=20`: if the job ends within 20 seconds, the response is 200 and has the whole text."),
    idempotency_key("Requests with the same key and body make one job."),
)
SUBMIT_BY_QUERY = (
    _query("query", _TEXT, "The prompt. It is not needed where the stream continues."),
    _query("model", _TEXT, "The model."),
    _query("max_tokens", {"type": "integer", "minimum": 1}, "The most tokens that the model may generate."),
    _header("Last-Event-ID", "The stream continues with the job of this event; no job is submitted."),
    _LAST_EVENT_ID,
    idempotency_key("Requests with the same key and query make one job."),
)
_PAGING = (
    _query("limit", {"type": "integer", "minimum": 1, "default": 50}, "The most jobs on a page, up to 200."),
    _query("older_than", _TEXT, "The value that `next` of the last page has, or a job's id."),
)
LIST = (
    *_PAGING,
    _query("user", _USER, "Only jobs of this user."),
    _query("status", ref("Status"), "Only jobs with this status."),
    _query("model", _TEXT, "Only jobs of this model, by its full name; a * at the end stands for anything."),
    _query("metadata.*", _TEXT, "Only jobs whose metadata has this value under the name in the place of the *."),
    _query("since", _TEXT, "Only jobs created from then on: a time such as 2026-01-31T12:00:00Z, or an age: 15m."),
)
OPERATOR_LIST = (
    _query("status", {"enum": ["queued", "running", "completed", "failed", "cancelled"]}, "Jobs with this status."),
    _query("owner", _TEXT, "Jobs of this owner."),
    _query("user", _TEXT, "Jobs of this user, by the name that the application gave."),
    _query("model", _TEXT, "Jobs of this model, by its full name."),
    _query("since", _TEXT, "Jobs submitted from then on: a time such as 2026-01-31T12:00:00Z, or an age such as 15m."),
    *_PAGING,
)
_TOMBSTONES = _query(
    "tombstones",
    _SWITCH,
    "1: nothing is left that says that the jobs existed, so reads are 404 and not 410. "
    "It does nothing to tombstones that an erasure without it has left.",
)
ERASE = (
    _query("user", _USER, "Erase the jobs of this user."),
    _query("all", _SWITCH, "1, where no user is given: erase all your jobs."),
    _TOMBSTONES,
)
ERASE_USER = (_TOMBSTONES,)
_DAY: Schema = {"type": "string", "format": "date"}
USAGE = (
    _query("since", _DAY, "The first day, by UTC; without it, 29 days before the last one."),
    _query("until", _DAY, "The last day, by UTC; without it, today. At most 366 days are read at once."),
    _query("owner", _TEXT, "Only the usage of this owner. Clients receive only their own."),
)
IF_NONE_MATCH = (_header("If-None-Match", "The ETag of the text that the client has."),)

_DURABLE = (
    _query("offset", _TEXT, "-1 (the start of the current answer), now, or the Stream-Next-Offset of a response."),
    _query("live", {"enum": ["long-poll", "sse"]}, "Wait for what comes, in one response or as a stream of events."),
    _query("cursor", _TEXT, "The last Stream-Cursor that the client received."),
    _query("*", _TEXT, "Parameters of other names are ignored, as the protocol has it."),
)
READ_DURABLE = (*_DURABLE, _header("If-None-Match", "The ETag of the response that the client has."))

GENERATION_REQUEST: Schema = {
    "required": True,
    "content": {JSON: {"schema": ref("GenerationRequest"), "example": {"prompt": "Hello!"}}},
}
SHARE_REQUEST: Schema = {
    "required": False,
    "content": {JSON: {"schema": ref("ShareRequest"), "example": {"expires_in_s": 3600}}},
}
SESSION_REQUEST: Schema = {
    "required": False,
    "content": {JSON: {"schema": ref("SessionRequest"), "example": {"user": "customer-42", "expires_in_s": 3600}}},
}
PLAIN_TEXT: Schema = {
    "description": "The text so far, of the current generation.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


def _durable(content_type: str, schema: Schema, description: str) -> Schema:
    """A read of Durable Streams: content, or with `live=sse` the events `data` and `control`."""
    return {
        "description": description,
        "content": {content_type: {"schema": schema}, "text/event-stream": {"schema": {"type": "string"}}},
    }


_ELEMENT: Schema = {"anyOf": [{"type": "string"}, {"type": "object"}]}
DURABLE_EVENTS = _durable(JSON, {"type": "array", "items": _ELEMENT}, "The log elements behind the offset.")
DURABLE_TEXT = _durable("text/plain", {"type": "string"}, "The text behind the offset.")


def event_stream(description: str) -> Schema:
    """A response that is a stream of events. The description is a sentence: what the events contain."""
    return {"description": description, "content": {"text/event-stream": {"schema": {"type": "string"}}}}


def no_body(description: str) -> Schema:
    """A response without a body. The description is a sentence: what is true now."""
    return {"description": description}
