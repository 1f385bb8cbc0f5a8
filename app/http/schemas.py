"""The schemas of bodies in the OpenAPI document. The type that reads a request also describes it."""

from typing import Any, get_args

import msgspec

from app.http.session_request import SessionRequest
from app.http.share_request import ShareRequest
from tokentail.jobs.job import Failure, FinishReason, Status, Usage
from tokentail.jobs.request import GenerationRequest
from tokentail.jobs.tools import CustomTool, Tool
from tokentail.log.element import Event

Schema = dict[str, Any]

_MISSING_JOBS: Schema = {
    "type": "integer",
    "description": "Jobs of this page that cannot be read now, because their node of the store is away.",
}

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
    """A reference to one of `schemas()`."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """Every schema by name."""
    _, ours = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    ours["GenerationRequest"]["oneOf"] = [{"required": ["prompt"]}, {"required": ["messages"]}]
    ours["GenerationRequest"]["properties"]["tools"]["items"] = {
        "anyOf": [ref("Tool"), ref("CustomTool"), _native_tool()]
    }
    token = {"type": "string", "description": "A token: one piece of text as the provider sent it."}
    event = {"oneOf": [ref(kind.__name__) for kind in get_args(Event)]}
    return {
        **ours,
        "Tokens": _poll("tokens", token),
        "Events": _poll("events", {"anyOf": [token, event]}),
        "Polls": _object({"jobs": {"type": "array", "items": {"anyOf": [ref("Tokens"), ref("Events"), _missing()]}}}),
        "Share": _object(
            {
                "token": _or_null(
                    {
                        "type": "string",
                        "description": "The value of `token=` in the query of a request that reads the job.",
                    }
                ),
                "expires_at": _or_null({"type": "string", "format": "date-time"}),
                "link": {"type": "string", "description": "The path of the page that shows the job."},
            }
        ),
        "Job": _job({}),
        "Result": _job({"text": {"type": "string", "description": "The whole text."}}),
        "Jobs": _object(
            {
                "jobs": {"type": "array", "items": ref("Job")},
                "next": _or_null({"type": "string", "description": "The path of the next page."}),
            },
            {"missing": _MISSING_JOBS},
        ),
        "OperatorJobs": _object(
            {
                "jobs": {"type": "array", "items": _job(_operators_fields())},
                "next": _or_null({"type": "string", "description": "The path of the next page."}),
            },
            {"missing": _MISSING_JOBS},
        ),
        "Session": _object(
            {"token": _or_null({"type": "string"}), "expires_at": _or_null({"type": "string", "format": "date-time"})}
        ),
        "Erased": _object(
            {
                "deleted": {"type": "integer", "description": "Jobs that this call has erased."},
                "cancelled": {"type": "integer", "description": "Those of them that had not ended."},
                "done": {"type": "boolean", "description": "No job is left; if false, repeat the call."},
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
        "UsageByDay": _usage_by_day(),
        "Health": _object({"status": {"const": "ok"}}),
        "Readiness": _object(
            {
                "status": {"const": "ready"},
                "workers": {"type": "integer"},
                "slots": {"type": "integer", "description": "Jobs that all workers can hold at once."},
                "held": {"type": "integer", "description": "Jobs that they hold."},
                "models": {"type": "array", "items": {"type": "string"}},
                "queued": {"type": "integer", "description": "Jobs in the queue."},
                "held_out": {
                    "type": "integer",
                    "description": "Jobs outside the queue, because their clients have used up their shares.",
                },
                "warning": _or_null({"type": "string", "description": "The reason why no job runs."}),
            }
        ),
        "Problem": _problem(),
    }


def _native_tool() -> Schema:
    description = "A tool that the provider runs itself, as the provider's own API has it; it is passed through."
    return {"type": "object", "properties": {"type": {"type": "string"}}, "description": description}


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
            "cursor": {"type": "string", "description": "The cursor for the next poll."},
            "reset": {"type": "boolean", "description": "The client must clear its text before it adds these."},
            "done": {"type": "boolean", "description": "The job has ended and all of it was read."},
            "poll_after_ms": {"type": "integer", "description": "How long to wait before the next poll."},
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
    # Missing only in a 202 that was sent while Redis did not answer.
    usual = {
        "queue_position": {
            **whole,
            "description": "1: the next job; null: the job is not queued. Up to two seconds old.",
        },
        "waits_for": {
            **_or_null({"enum": ["worker", "slot", "share"]}),
            "description": "What a queued job waits for: a worker that serves its model, a free slot, or the end of "
            "another job of its client, which has used up its share of the slots.",
        },
        "attempts": {"type": "integer", "description": "How many attempts the job has had."},
        "provider_calls": {"type": "integer", "description": "Calls of the provider, by all attempts together."},
        "token_count": {"type": "integer"},
        "time_to_first_token_ms": {**whole, "description": "Since the job was submitted."},
        **_outcome(),
        "provider_reason": _or_null({"type": "string", "description": "The provider's own finish reason."}),
        "provider_request_id": _or_null(
            {"type": "string", "description": "The provider's id of the call, for its support."}
        ),
        "user": _or_null({"type": "string", "description": "The application's user, as the request named it."}),
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        **{f"{name}_at": moment for name in ("created", "started", "first_token", "ended", "expires")},
        "answer_first_token_at": {
            **moment,
            "description": "When the generation that `token_count` counts had its first token.",
        },
    }
    return _object({**known, **more}, usual)


def _operators_fields() -> dict[str, Schema]:
    text = _or_null({"type": "string"})
    return {
        "owner": {"type": "string", "description": "The owner of the key with which the job was submitted."},
        "provider": {**text, "description": "The provider that was called last."},
        "address": {**text, "description": "Scheme, host and port that were called."},
        "call_error": {
            **text,
            "description": "The type and status of the last call that failed; a later call may have succeeded.",
        },
        "worker": {**text, "description": "The worker that claimed the job last."},
        "losses": {"type": "integer", "description": "How many workers were lost while they ran the job."},
    }


def _overview() -> Schema:
    whole: Schema = {"type": "integer"}
    worker: dict[str, Schema] = {
        "name": {"type": "string"},
        "slots": {**whole, "description": "Jobs that the worker can hold at once."},
        "held": {**whole, "description": "Jobs that the worker holds."},
        "ended": {**whole, "description": "Jobs that ended in the worker since its start."},
        "models": {"type": "array", "items": {"type": "string"}},
    }
    queue: dict[str, Schema] = {
        "length": whole,
        "held_out": {
            **whole,
            "description": "Jobs outside the queue, because their clients have used up their shares.",
        },
        "head_age_s": {**_or_null({"type": "number"}), "description": "How long the next job has waited."},
    }
    words: Schema = {"type": "string"}
    states = ["good", "no workers", "answers fail", "jobs wait", "redis nearly full"]
    return _object(
        {
            "state": {"enum": states, "description": "The gravest of what is not well, or good."},
            "reasons": {
                "type": "array",
                "items": _object({"state": words, "what": words, "do": words}),
                "description": "Each thing that is not well, and what to do.",
            },
            "at": {"type": "string", "format": "date-time", "description": "When the figures were read."},
            "role": {
                **_or_null({"enum": ["client", "operator"]}),
                "description": "The role of the caller's key; null where no keys are set.",
            },
            "jobs": _object({"queued": whole, "running": whole}),
            "queue": _object(queue),
            "slots": {**whole, "description": "Jobs that all workers can hold at once."},
            "ended_per_s": {"type": "number", "description": "Jobs that ended a second, over the last half minute."},
            "workers": {"type": "array", "items": _object(worker)},
        },
        {"usage_today": {"type": "array", "items": _usage_row()}},
    )


def _usage_by_day() -> Schema:
    day: Schema = {"type": "string", "format": "date"}
    return _object({"since": day, "until": day, "usage": {"type": "array", "items": _usage_row()}})


def _usage_row() -> Schema:
    counts: dict[str, Schema] = {
        "requests": {"description": "Jobs that were submitted that day."},
        **{name: {"description": f"Jobs that were {name} that day."} for name in ("completed", "failed", "cancelled")},
        "input_tokens": {"description": "Of jobs that ended that day."},
        "output_tokens": {"description": "Of jobs that ended that day."},
        "estimated_tokens": {"description": "Of both, those that no provider counted."},
    }
    return _object(
        {
            "day": {"type": "string", "format": "date"},
            "owner": {"type": "string", "description": "The name of the key."},
            **{name: {"type": "integer", **each} for name, each in counts.items()},
        }
    )


def _missing() -> Schema:
    """The entry of a job that cannot be read, in the place of a poll's body."""
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
