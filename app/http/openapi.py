"""The OpenAPI 3.1 document of the whole interface, from the table of routes."""

import re
from functools import cache
from typing import Any

import msgspec

from app.http.examples import example_of
from app.http.operations import parameter
from app.http.response import PROBLEM
from app.http.router import Auth, Route, Router
from app.http.routes import ROUTER, TASKS
from app.http.schemas import TEXT, Schema, ref, shared_schemas
from tokentail import __version__

_PROBLEMS = {
    400: "The body, the cursor or the offset cannot be read.",
    401: "The request has no key of this server.",
    403: "The server does not have this Host name, or a page of another site sent the request.",
    404: "There is no such job, or it belongs to another key.",
    406: "The request does not ask for events: send Accept: text/event-stream.",
    409: "The Idempotency-Key was used for another request, or the job has ended without a whole text.",
    410: "The job's content has expired or was deleted, or the offset belongs to an answer that was lost.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field or parameter is not valid; `errors` names it.",
    429: "Too many jobs are open, or too many readers wait; Retry-After has the seconds until the next try.",
    503: "Redis does not answer, refuses or is full, the job cannot be read, or no worker serves a model; "
    "Retry-After has the seconds until the next try.",
}
_PATH_PARAMETERS = {"job_id": "The job's id.", "user": "The user's name as submissions have it."}


@cache
def openapi_document(router: Router = ROUTER) -> bytes:
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
            "tags": [{"name": task.name, "description": task.description} for task in TASKS],
            "paths": _paths(router),
            "components": {
                "schemas": _schemas(),
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


def _schemas() -> dict[str, Schema]:
    """Every schema by name."""
    return shared_schemas() | {name: schema for task in TASKS for name, schema in task.schemas.items()}


def _paths(router: Router) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for path, routes in router.by_path.items():
        described = {route.method.lower(): _operation(route) for route in routes.values() if route.summary}
        if not described:
            continue
        names = re.findall(r"\{(\w+)\*?\}", path)
        parameters = [
            {
                **parameter(name, "path", TEXT, _PATH_PARAMETERS.get(name, "A part of the path.")),
                "example": example_of(TEXT, {}, name),
            }
            for name in names
        ]
        paths[path.replace("*}", "}")] = {**({"parameters": parameters} if parameters else {}), **described}
    return paths


def _operation(route: Route) -> Schema:
    refusals = {*route.problems, 401, 403, 503} - ({401} if route.auth is Auth.OPEN else set())
    responses = {**route.responses, **{status: _refusal(status) for status in sorted(refusals)}}
    described: Schema = {
        "operationId": route.name,
        "tags": [task.name for task in TASKS if route in task.routes],
        "summary": route.summary,
        "responses": {str(status): _with_examples(response, status) for status, response in responses.items()},
    }
    if route.parameters:
        described["parameters"] = route.parameters
    if route.body:
        described["requestBody"] = _with_examples(route.body)
    return {**described, "security": []} if route.auth is Auth.OPEN else described


def _refusal(status: int) -> Schema:
    return {"description": _PROBLEMS[status], "content": {PROBLEM: {"schema": ref("Problem")}}}


def _with_examples(body: Schema, status: int | None = None) -> Schema:
    """The body of a request or response, with an example of each of its forms that has a schema of ours."""
    if "content" not in body:
        return body
    known = _schemas()
    content = {}
    for kind, form in body["content"].items():
        example = form.get("example") or example_of(form["schema"], known)
        if kind == PROBLEM:
            example = {**example, "status": status, "detail": _PROBLEMS.get(status or 0, "")}
        content[kind] = {**form, "example": example} if isinstance(example, dict) else form
    return {**body, "content": content}
