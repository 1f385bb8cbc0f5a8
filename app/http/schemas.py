"""The schemas of bodies in the OpenAPI document that more than one file of routes needs.

The type that reads a request also describes it.
"""

from typing import Any

import msgspec

from app.http.session_request import SessionRequest
from app.http.share_request import ShareRequest
from tokentail.jobs.job import Failure, FinishReason, Status, Usage
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool, Tool
from tokentail.log.element import Event

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
MOMENT: Schema = {"type": "string", "format": "date-time"}

_TYPES = (
    GenerationRequest,
    ShareRequest,
    SessionRequest,
    Tool,
    CustomTool,
    Usage,
    Failure,
    Status,
    FinishReason,
    Event,
)


def ref(name: str) -> Schema:
    """A reference to a schema: one of `shared_schemas()`, or of those that a file of routes has."""
    return {"$ref": f"#/components/schemas/{name}"}


def shared_schemas() -> dict[str, Schema]:
    """The schemas of our types and of problems, by name."""
    _, ours = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    ours["GenerationRequest"]["oneOf"] = [{"required": ["prompt"]}, {"required": ["messages"]}]
    ours["GenerationRequest"]["properties"]["tools"]["items"] = {
        "anyOf": [ref("Tool"), ref("CustomTool"), _native_tool()]
    }
    return {**ours, "Problem": _problem()}


def _native_tool() -> Schema:
    description = "A tool that the provider runs itself, as the provider's own API has it; it is passed through."
    return {"type": "object", "properties": {"type": TEXT}, "description": description}


def object_of(properties: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """The schema of an object with these properties, of which only the optional ones may be missing."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}


def or_null(schema: Schema) -> Schema:
    """The schema of a value that may also be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def outcome() -> dict[str, Schema]:
    """The properties that tell how a job ended."""
    return {
        "finish_reason": or_null(ref("FinishReason")),
        "usage": or_null(ref("Usage")),
        "error": or_null(ref("Failure")),
    }


def page_of(view: Schema) -> Schema:
    """The schema of one page of a list of jobs."""
    missing = "Jobs of this page that cannot be read now, because their node of the store is away."
    return object_of(
        {
            "jobs": {"type": "array", "items": view},
            "next": or_null({**TEXT, "description": "The path of the next page."}),
        },
        {"missing": {**WHOLE, "description": missing}},
    )


def job_schema(more: dict[str, Schema]) -> Schema:
    """The schema of a job's view, with these properties besides."""
    moment = or_null(MOMENT)
    whole = or_null(WHOLE)
    known = {
        "id": TEXT,
        "status": ref("Status"),
        "model": TEXT,
        "links": {"type": "object", "additionalProperties": TEXT},
    }
    # Missing only in a 202 that was sent while Redis did not answer.
    usual = {
        "queue_position": {
            **whole,
            "description": "1: the next job; null: the job is not queued. Up to two seconds old.",
        },
        "waits_for": {
            **or_null({"enum": ["worker", "slot", "share"]}),
            "description": "What a queued job waits for: a worker that serves its model, a free slot, or the end of "
            "another job of its client, which has used up its share of the slots.",
        },
        "attempts": {"type": "integer", "description": "How many attempts the job has had."},
        "provider_calls": {"type": "integer", "description": "Calls of the provider, by all attempts together."},
        "token_count": {"type": "integer"},
        "time_to_first_token_ms": {**whole, "description": "Since the job was submitted."},
        **outcome(),
        "provider_reason": or_null({"type": "string", "description": "The provider's own finish reason."}),
        "provider_request_id": or_null(
            {"type": "string", "description": "The provider's id of the call, for its support."}
        ),
        "user": or_null({"type": "string", "description": "The application's user, as the request named it."}),
        "metadata": {"type": "object", "additionalProperties": TEXT},
        **{f"{name}_at": moment for name in ("created", "started", "first_token", "ended", "expires")},
        "answer_first_token_at": {
            **moment,
            "description": "When the generation that `token_count` counts had its first token.",
        },
    }
    return object_of({**known, **more}, usual)


def _problem() -> Schema:
    fault = object_of({"field": TEXT, "message": TEXT})
    return object_of(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
        },
        {"errors": {"type": "array", "items": fault}},
    )
