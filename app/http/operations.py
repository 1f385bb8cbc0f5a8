"""What rows of the table of routes describe their calls with: parameters, bodies and responses. Pure."""

from typing import Any

from app.http.response import JSON
from app.http.schemas import TEXT, Schema, ref


def json_body(schema: str, description: str) -> Schema:
    """A response in JSON. The description is a sentence: what the response contains."""
    return {"description": description, "content": {JSON: {"schema": ref(schema)}}}


def openai_body(description: str) -> Schema:
    """A response in OpenAI's form, which OpenAI's own document describes."""
    return {"description": description, "content": {JSON: {"schema": {"type": "object"}}}}


def event_stream(description: str) -> Schema:
    """A response that is a stream of events. The description is a sentence: what the events contain."""
    return {"description": description, "content": {"text/event-stream": {"schema": TEXT}}}


def no_body(description: str) -> Schema:
    """A response without a body. The description is a sentence: what is true now."""
    return {"description": description}


def json_request(schema: str, example: dict[str, Any], *, is_required: bool = False) -> Schema:
    """The body of a request in JSON."""
    return {"required": is_required, "content": {JSON: {"schema": ref(schema), "example": example}}}


def foreign_request(description: str) -> Schema:
    """The body of a request in another interface's JSON, which has no schema here."""
    return {"required": True, "content": {JSON: {"schema": {"type": "object", "description": description}}}}


def parameter(name: str, where: str, schema: Schema, description: str) -> Schema:
    """A parameter; only those of the path are required."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }


def query(name: str, schema: Schema, description: str) -> Schema:
    """A parameter of the query."""
    return parameter(name, "query", schema, description)


def header(name: str, description: str, **limits: int) -> Schema:
    """A header of the request."""
    return parameter(name, "header", {**TEXT, **limits}, description)


def idempotency_key(description: str) -> Schema:
    """The header Idempotency-Key."""
    return header("Idempotency-Key", description, minLength=1, maxLength=255)


def limit(default: int, description: str) -> Schema:
    """The parameter `limit`."""
    return query("limit", {"type": "integer", "minimum": 1, "default": default}, description)


SWITCH: Schema = {"enum": ["0", "1"]}
PAGING = (
    limit(50, "The most jobs on a page, up to 200."),
    query("older_than", TEXT, "The value that `next` of the last page has, or a job's id."),
)
TOMBSTONES = query(
    "tombstones",
    SWITCH,
    "1: nothing is left that says that the jobs existed, so reads are 404 and not 410. "
    "It does nothing to tombstones that an erasure without it has left.",
)
