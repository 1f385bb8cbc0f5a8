"""OpenAI's errors: the one table from what goes wrong here to their form and their HTTP statuses. Pure.

Their clients choose an error class by the status alone, repeat 408, 409, 429 and 5xx by themselves unless
`x-should-retry` says false, and show `message`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.http.openai_routes import CHAT, OPENAI_MODELS, RESPONSES
from app.http.response import PROBLEM, PROBLEM_NAMES, Response, json_response
from tokentail.jobs.job import FailureKind

NO_RETRY = {"x-should-retry": "false"}
# Our status: theirs, and its code. Their SDKs have no class for 410 and 422.
_REFUSALS = {
    400: (400, "invalid_value"),
    401: (401, "invalid_api_key"),
    403: (403, "forbidden"),
    404: (404, "not_found"),
    409: (409, "idempotency_conflict"),
    410: (404, "not_found"),
    422: (400, "invalid_value"),
    429: (429, "rate_limit_exceeded"),
}
_WHAT_THERE_IS = f"There is nothing at this path. There are: {CHAT}, {RESPONSES}, {OPENAI_MODELS}."
_MOST_RETRY_AFTER_S = 60  # the JavaScript SDK ignores a longer one, and would repeat the request at once
_PROVIDER_STATUSES = frozenset({400, 404, 413, 422})  # what a provider refuses about the request itself
_STATUSES = {
    FailureKind.REJECTED: 502,  # the provider refused the deployment's key: the client's is not at fault
    FailureKind.CONTENT_FILTERED: 400,
    FailureKind.RATE_LIMITED: 429,
    FailureKind.OVERLOADED: 503,
    FailureKind.TIMEOUT: 504,
    FailureKind.TRUNCATED: 502,
    FailureKind.MALFORMED: 502,
    FailureKind.UNAVAILABLE: 502,
    FailureKind.INTERNAL: 500,
}


def error_object(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The object under `error`; `status` decides its type."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"message": message, "type": kind, "param": param, "code": code}


def error_response(
    status: int,
    message: str,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A whole response with an error."""
    return json_response({"error": error_object(status, message, code, param)}, status, headers)


def in_openai_form(told: Response) -> Response:
    """A problem document of ours in OpenAI's form. Every other response stays as it is."""
    if told.headers.get("Content-Type") != PROBLEM:
        return told
    document = msgspec.json.decode(told.body)
    field = next((fault["field"] for fault in document.get("errors", ()) if fault["field"]), None)
    kind = document["type"].removeprefix(PROBLEM_NAMES)
    status, code = _REFUSALS.get(told.status, (told.status, None if kind == "about:blank" else kind.replace("-", "_")))
    message = document.get("detail") or document["title"]
    if status == 404 and field == "model":
        code = "model_not_found"
    elif kind == "model-forbidden":
        code, field = "model_not_found", "model"
    elif status == 404 and kind == "about:blank":  # no call is at this path
        code, message = "unknown_url", _WHAT_THERE_IS
    kept = {name: value for name, value in told.headers.items() if name not in {"Content-Type", "Cache-Control"}}
    if int(kept.get("Retry-After", 0)) > _MOST_RETRY_AFTER_S:
        kept |= NO_RETRY
    if status == 409:
        kept |= NO_RETRY
    return error_response(status, message, code, field, kept)


def failed_response(end: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """The response for a job that failed or was cancelled before anything was shown of it.

    The worker has already repeated what may be repeated, so the client must not.
    """
    status, error = failure_of(end)
    return json_response({"error": error}, status, {**headers, **NO_RETRY})


def failure_of(end: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """(HTTP status, object under `error`) for an end that is no completion."""
    failure = end.get("error")
    if end.get("status") == "cancelled" or not failure:
        return 409, error_object(409, "The job was cancelled.", "cancelled")
    kind = next((kind for kind in FailureKind if kind == failure["type"]), FailureKind.INTERNAL)
    given = failure.get("provider_status")
    status = given if kind is FailureKind.REJECTED and given in _PROVIDER_STATUSES else _STATUSES[kind]
    return status, error_object(status, failure["message"], failure["type"])


RESTARTED = "generation_restarted"


def restarted(path: str) -> dict[str, Any]:
    """The error of a stream whose text was lost: the model begins anew, and a stream cannot take back its text."""
    message = f"The model began its answer again after it was interrupted. Read the new answer: GET {path}"
    return error_object(500, message, RESTARTED)
