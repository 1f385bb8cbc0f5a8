"""The routes of operators, load balancers and tools. Rows of the one table in `routes.py`."""

from app.http.key_routes import usage_row
from app.http.operations import PAGING, json_body, query
from app.http.router import CLIENTS, OPERATORS, Auth, Kind, Route
from app.http.schemas import TEXT, WHOLE, Schema, job_schema, object_of, or_null, page_of
from app.http.tasks import Task

MODELS = "/v1/models"
OPERATOR_JOBS = "/v1/operator/jobs"
HEALTH = "/healthz"
READINESS = "/readyz"
OPENAPI = "/openapi.json"
DOCS = "/docs"

_OPERATOR_LIST = (
    query("status", {"enum": ["queued", "running", "completed", "failed", "cancelled"]}, "Jobs with this status."),
    query("owner", TEXT, "Jobs of this owner."),
    query("user", TEXT, "Jobs of this user, by the name that the application gave."),
    query("model", TEXT, "Jobs of this model, by its full name."),
    query("since", TEXT, "Jobs submitted from then on: a time such as 2026-01-31T12:00:00Z, or an age such as 15m."),
    *PAGING,
)


def _operators_fields() -> dict[str, Schema]:
    """What an operator sees of a job besides its view."""
    text = or_null(TEXT)
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
    worker: dict[str, Schema] = {
        "name": TEXT,
        "slots": {**WHOLE, "description": "Jobs that the worker can hold at once."},
        "held": {**WHOLE, "description": "Jobs that the worker holds."},
        "ended": {**WHOLE, "description": "Jobs that ended in the worker since its start."},
        "models": {"type": "array", "items": TEXT},
    }
    queue: dict[str, Schema] = {
        "length": WHOLE,
        "held_out": {
            **WHOLE,
            "description": "Jobs outside the queue, because their clients have used up their shares.",
        },
        "head_age_s": {**or_null({"type": "number"}), "description": "How long the next job has waited."},
    }
    states = ["good", "no workers", "answers fail", "jobs wait", "redis nearly full"]
    return object_of(
        {
            "state": {"enum": states, "description": "The gravest of what is not well, or good."},
            "reasons": {
                "type": "array",
                "items": object_of({"state": TEXT, "what": TEXT, "do": TEXT}),
                "description": "Each thing that is not well, and what to do.",
            },
            "at": {"type": "string", "format": "date-time", "description": "When the figures were read."},
            "role": {
                **or_null({"enum": ["client", "operator"]}),
                "description": "The role of the caller's key; null where no keys are set.",
            },
            "jobs": object_of({"queued": WHOLE, "running": WHOLE}),
            "queue": object_of(queue),
            "slots": {**WHOLE, "description": "Jobs that all workers can hold at once."},
            "ended_per_s": {"type": "number", "description": "Jobs that ended a second, over the last half minute."},
            "workers": {"type": "array", "items": object_of(worker)},
        },
        {"usage_today": {"type": "array", "items": usage_row()}},
    )


OPERATE = Task(
    "Run it",
    "Is it well, what does it do, which models does it serve?",
    (
        Route(
            "GET",
            "/v1/overview",
            Kind.BLOCKING,
            "overview",
            "Read the state of the whole deployment, in numbers.",
            {200: json_body("Overview", "Numbers of jobs, the queue and the workers.")},
            roles=CLIENTS | OPERATORS,
        ),
        Route(
            "GET",
            OPERATOR_JOBS,
            Kind.BLOCKING,
            "listAllJobs",
            "List the records of all owners' jobs, newest first, without content.",
            {200: json_body("OperatorJobs", "One page of records, and the link to the next page.")},
            (422,),
            _OPERATOR_LIST,
            roles=OPERATORS,
        ),
        Route(
            "GET",
            MODELS,
            Kind.BLOCKING,
            "listModels",
            "List the models that a request may name.",
            {200: json_body("Models", "The models, and the one that is used when a request names none.")},
            roles=CLIENTS | OPERATORS,
        ),
        Route(
            "GET",
            HEALTH,
            Kind.PLAIN,
            "health",
            "Ask whether this process answers.",
            {200: json_body("Health", "This web process answers.")},
            auth=Auth.OPEN,
        ),
        Route(
            "GET",
            READINESS,
            Kind.BLOCKING,
            "ready",
            "Ask whether Redis answers.",
            {200: json_body("Readiness", "Redis answers; the body counts workers, slots and queued jobs.")},
            auth=Auth.OPEN,
        ),
        Route("GET", OPENAPI, Kind.BLOCKING, "openapi", auth=Auth.OPEN),
        Route("GET", DOCS, Kind.BLOCKING, "docs", auth=Auth.OPEN),
        Route("GET", "/docs/{name}", Kind.BLOCKING, "docsFile", auth=Auth.OPEN),
    ),
    {
        "Overview": _overview(),
        "OperatorJobs": page_of(job_schema(_operators_fields())),
        "Models": object_of(
            {
                "object": {"const": "list"},
                "data": {
                    "type": "array",
                    "items": object_of({"id": TEXT, "object": {"const": "model"}, "owned_by": TEXT}),
                },
                "default": or_null(TEXT),
            }
        ),
        "Health": object_of({"status": {"const": "ok"}}),
        "Readiness": object_of(
            {
                "status": {"const": "ready"},
                "workers": WHOLE,
                "slots": {"type": "integer", "description": "Jobs that all workers can hold at once."},
                "held": {"type": "integer", "description": "Jobs that they hold."},
                "models": {"type": "array", "items": TEXT},
                "queued": {"type": "integer", "description": "Jobs in the queue."},
                "held_out": {
                    "type": "integer",
                    "description": "Jobs outside the queue, because their clients have used up their shares.",
                },
                "warning": or_null({"type": "string", "description": "The reason why no job runs."}),
            }
        ),
    },
)
