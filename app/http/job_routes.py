"""The routes of jobs: submitting, finding, stopping and deleting them. Rows of the one table in `routes.py`."""

from app.http.operations import (
    PAGING,
    SWITCH,
    TOMBSTONES,
    header,
    idempotency_key,
    json_body,
    json_request,
    no_body,
    query,
)
from app.http.router import CLIENTS, OPERATORS, Kind, Route
from app.http.schemas import MOMENT, TEXT, Schema, job_schema, object_of, or_null, page_of, ref
from app.http.tasks import Task

OWN = "/v1/"  # the beginning of the paths whose calls refuse unknown parameters
JOBS = "/v1/jobs"
JOB = "/v1/jobs/{job_id}"
_SHARE = "/v1/jobs/{job_id}/share"

_USER: Schema = {"type": "string", "minLength": 1, "maxLength": 128}

_SUBMIT = (
    header("Prefer", "`wait=20`: if the job ends within 20 seconds, the response is 200 and has the whole text."),
    idempotency_key("Requests with the same key and body make one job."),
)
_LIST = (
    *PAGING,
    query("user", _USER, "Only jobs of this user."),
    query("status", ref("Status"), "Only jobs with this status."),
    query("model", TEXT, "Only jobs of this model, by its full name; a * at the end stands for anything."),
    query("metadata.*", TEXT, "Only jobs whose metadata has this value under the name in the place of the *."),
    query("since", TEXT, "Only jobs created from then on: a time such as 2026-01-31T12:00:00Z, or an age: 15m."),
)
_ERASE = (
    query("user", _USER, "Erase the jobs of this user."),
    query("all", SWITCH, "1, where no user is given: erase all your jobs."),
    TOMBSTONES,
)
ASK = Task(
    "Ask",
    "Submit a prompt. The response has the job's id, and comes before the model has said a word.",
    (
        Route(
            "POST",
            JOBS,
            Kind.STEPS,
            "submitJob",
            "Submit a prompt.",
            {
                202: json_body("Job", "The job was accepted; the body is its view."),
                200: json_body("Result", "The job ended within the time that Prefer gave; the body has its text."),
            },
            (400, 409, 410, 413, 415, 422, 429),
            _SUBMIT,
            json_request("GenerationRequest", {"prompt": "Hello!"}, is_required=True),
        ),
    ),
)
LOOK_AFTER = Task(
    "Look after jobs",
    "Find, stop and delete jobs, and share their answers.",
    (
        Route(
            "GET",
            JOBS,
            Kind.BLOCKING,
            "listJobs",
            "List your jobs, newest first: all of them, or those that the parameters describe.",
            {200: json_body("Jobs", "One page of jobs, and the link to the next page.")},
            (422,),
            _LIST,
        ),
        Route(
            "DELETE",
            JOBS,
            Kind.BLOCKING,
            "deleteJobs",
            "Erase all your jobs, or those of one user. Repeat it until `done` is true.",
            {200: json_body("Erased", "How many jobs this call has erased, and whether more are left.")},
            (422,),
            _ERASE,
        ),
        Route(
            "GET",
            JOB,
            Kind.BLOCKING,
            "getJob",
            "Read a job's status and numbers; or by Accept its stream or its text.",
            {200: json_body("Job", "The job's status, times, counts and links.")},
            (404, 410),
            roles=CLIENTS | OPERATORS,
        ),
        Route(
            "DELETE",
            JOB,
            Kind.BLOCKING,
            "deleteJob",
            "Cancel the job and erase its content. A repetition changes nothing.",
            {204: no_body("The job's content is erased.")},
            (404,),
        ),
        Route(
            "GET",
            "/v1/jobs/{job_id}/request",
            Kind.BLOCKING,
            "getRequest",
            "Read what was asked.",
            {200: json_body("GenerationRequest", "The submission's fields, with the model's full name.")},
            (404, 410),
            is_for_owner=True,
        ),
        Route(
            "POST",
            _SHARE,
            Kind.BLOCKING,
            "shareJob",
            "Make a link with which others may read the job.",
            {200: json_body("Share", "The read token, its end, and the link that contains it.")},
            (400, 404, 410, 413, 422),
            body=json_request("ShareRequest", {"expires_in_s": 3600}),
        ),
        Route(
            "DELETE",
            _SHARE,
            Kind.BLOCKING,
            "revokeShares",
            "Refuse every link to the job that was made so far.",
            {204: no_body("Read tokens that were made before are refused.")},
            (404, 410),
        ),
        Route(
            "POST",
            "/v1/jobs/{job_id}/cancel",
            Kind.BLOCKING,
            "cancelJob",
            "Stop the job. A repetition changes nothing.",
            {200: json_body("Job", "The job's view after the cancel.")},
            (404, 410),
            roles=CLIENTS | OPERATORS,
        ),
    ),
    {
        "Job": job_schema({}),
        "Result": job_schema({"text": {"type": "string", "description": "The whole text."}}),
        "Jobs": page_of(ref("Job")),
        "Erased": object_of(
            {
                "deleted": {"type": "integer", "description": "Jobs that this call has erased."},
                "cancelled": {"type": "integer", "description": "Those of them that had not ended."},
                "done": {"type": "boolean", "description": "No job is left; if false, repeat the call."},
            }
        ),
        "Share": object_of(
            {
                "token": or_null(
                    {
                        "type": "string",
                        "description": "The value of `token=` in the query of a request that reads the job.",
                    }
                ),
                "expires_at": or_null(MOMENT),
                "link": {"type": "string", "description": "The path of the page that shows the job."},
            }
        ),
    },
)
