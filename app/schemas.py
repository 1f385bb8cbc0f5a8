"""The schemas: what bodies look like, for the OpenAPI document. Requests are described by the type that reads them."""

from typing import Any, get_args

import msgspec

from tokentail.element import Event
from tokentail.job import Failure, FinishReason, Status, Usage
from tokentail.request import GenerationRequest

Schema = dict[str, Any]

_TYPES = (GenerationRequest, Usage, Failure, Status, FinishReason, Event)


def ref(name: str) -> Schema:
    """A reference to one of `schemas()`."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """Every schema by name."""
    _, ours = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    ours["GenerationRequest"]["oneOf"] = [{"required": ["prompt"]}, {"required": ["messages"]}]
    token = {"type": "string", "description": "A token: one piece of text as the provider sent it."}
    event = {"oneOf": [ref(kind.__name__) for kind in get_args(Event)]}
    return {
        **ours,
        "Tokens": _poll("tokens", token),
        "Events": _poll("events", {"anyOf": [token, event]}),
        "Polls": _object({"jobs": {"type": "array", "items": {"anyOf": [ref("Tokens"), _missing()]}}}),
        "Share": _object(
            {
                "token": _or_null({"type": "string", "description": "Goes into `token=` of a read's query."}),
                "expires_at": _or_null({"type": "string", "format": "date-time"}),
                "link": {"type": "string", "description": "Of the page that shows the job."},
            }
        ),
        "Job": _job({}),
        "Result": _job({"text": {"type": "string", "description": "The whole text."}}),
        "Jobs": _object(
            {
                "jobs": {"type": "array", "items": ref("Job")},
                "next": _or_null({"type": "string", "description": "Where the next page is."}),
            }
        ),
        "Models": _object(
            {
                "object": {"const": "list"},
                "data": {
                    "type": "array",
                    "items": _object(
                        {"id": {"type": "string"}, "object": {"const": "model"}, "owned_by": {"type": "string"}}
                    ),
                },
                "default": _or_null({"type": "string"}),
            }
        ),
        "Overview": _overview(),
        "Health": _object({"status": {"const": "ok"}}),
        "Readiness": _object(
            {
                "status": {"const": "ready"},
                "workers": {"type": "integer"},
                "slots": {"type": "integer", "description": "Jobs that all workers can hold at once."},
                "held": {"type": "integer", "description": "Jobs that they hold."},
                "models": {"type": "array", "items": {"type": "string"}},
                "queued": {"type": "integer", "description": "Jobs in the queue."},
                "held_out": {"type": "integer", "description": "Jobs held out of it: their clients have their share."},
                "warning": _or_null({"type": "string", "description": "What keeps jobs from being run."}),
            }
        ),
        "Problem": _problem(),
    }


def _object(properties: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _outcome() -> dict[str, Schema]:
    return {
        "finish_reason": _or_null(ref("FinishReason")),
        "usage": _or_null(ref("Usage")),
        "error": _or_null(ref("Failure")),
    }


def _poll(name: str, item: Schema) -> Schema:
    return _object(
        {
            "job_id": {"type": "string"},
            "status": ref("Status"),
            name: {"type": "array", "items": item},
            "cursor": {"type": "string", "description": "Send it back with the next poll."},
            "reset": {"type": "boolean", "description": "Clear what you have, then take these."},
            "done": {"type": "boolean", "description": "There is no more, ever."},
            "poll_after_ms": {"type": "integer", "description": "Wait this long before the next poll."},
        },
        _outcome(),
    )


def _job(more: dict[str, Schema]) -> Schema:
    moment = _or_null({"type": "string", "format": "date-time"})
    whole = _or_null({"type": "integer"})
    known = {
        "id": {"type": "string"},
        "status": ref("Status"),
        "model": {"type": "string"},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    # Left out only by a 202 that was given while Redis went away.
    usual = {
        "queue_position": {**whole, "description": "1 is next; null when it is not queued. May be two seconds old."},
        "waits_for": {
            **_or_null({"enum": ["worker", "slot", "share"]}),
            "description": "What a queued job waits for: a worker that serves its model, a free slot, or the end of "
            "another job of its client, who has its share of the slots.",
        },
        "attempts": {"type": "integer", "description": "How many workers have taken it."},
        "token_count": {"type": "integer"},
        "time_to_first_token_ms": {**whole, "description": "Since it was submitted."},
        **_outcome(),
        "provider_reason": _or_null({"type": "string", "description": "The provider's own finish reason."}),
        "provider_request_id": _or_null({"type": "string", "description": "For the provider's support."}),
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        **{f"{name}_at": moment for name in ("created", "started", "first_token", "ended", "expires")},
    }
    return _object({**known, **more}, usual)


def _overview() -> Schema:
    whole: Schema = {"type": "integer"}
    worker: dict[str, Schema] = {
        "name": {"type": "string"},
        "slots": {**whole, "description": "Jobs that it can hold at once."},
        "held": {**whole, "description": "Jobs that it holds."},
        "ended": {**whole, "description": "Jobs that it has seen to their end since it began."},
        "models": {"type": "array", "items": {"type": "string"}},
    }
    queue: dict[str, Schema] = {
        "length": whole,
        "held_out": {**whole, "description": "Jobs held out of it: their clients have their share."},
        "head_age_s": {**_or_null({"type": "number"}), "description": "How long the next one has waited."},
    }
    return _object(
        {
            "jobs": _object({"queued": whole, "running": whole}),
            "queue": _object(queue),
            "slots": {**whole, "description": "Jobs that all workers can hold at once."},
            "ended_per_s": {"type": "number", "description": "Jobs that ended a second, over the last half minute."},
            "workers": {"type": "array", "items": _object(worker)},
        }
    )


def _missing() -> Schema:
    """What stands for a poll's body where there is no such job."""
    return _object({"job_id": {"type": "string"}, "problem": ref("Problem")})


def _problem() -> Schema:
    fault = _object({"field": {"type": "string"}, "message": {"type": "string"}})
    return _object(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
        {"errors": {"type": "array", "items": fault}},
    )
