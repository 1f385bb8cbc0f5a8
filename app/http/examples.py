"""Examples for the OpenAPI document: one for each body, made from its schema. Pure.

A value is known by the name of its property; so a new schema has a sensible example without being written here.
"""

from typing import Any

from app.http.job_routes import JOB, JOBS
from app.http.reading_routes import JOB_TOKENS

Schema = dict[str, Any]

_JOB_ID = "50j3fbyz7ped5wx0jgc9netz2z"
_TIME = "2026-05-04T09:30:00.000Z"
_BY_NAME: dict[str, Any] = {
    "id": _JOB_ID,
    "job_id": _JOB_ID,
    "status": "completed",
    "model": "openai/gpt-4.1-mini",
    "owned_by": "openai",
    "text": "Because blue light is scattered most.",
    "cursor": "k7f2.4",
    "poll_after_ms": 0,
    "tokens": ["Because", " blue", " light"],
    "events": [{"type": "reasoning", "text": "Light, then."}, "Because", " blue"],
    "token_count": 7,
    "queue_position": None,
    "waits_for": None,
    "attempts": 1,
    "error": None,
    "finish_reason": "stop",
    "provider_reason": "stop",
    "provider_request_id": "req_0123456789",
    "metadata": {"title": "Why is the sky blue?"},
    "token": "eyJqb2IiOiI1MGozZmJ5ejcifQ.MTc0",
    "link": f"/?job={_JOB_ID}",
    "next": f"{JOBS}?limit=50&older_than={_JOB_ID}",
    "default": "openai/gpt-4.1-mini",
    "links": {"self": JOB.format(job_id=_JOB_ID), "tokens": JOB_TOKENS.format(job_id=_JOB_ID)},
    "name": "worker-1",
    "models": ["openai/gpt-4.1-mini", "demo"],
    "type": "urn:tokentail:problem:invalid-request",
    "title": "The request is not valid",
    "detail": "model: no worker serves this model",
    "field": "model",
    "message": "no worker serves this model",
    "prompt": "Why is the sky blue?",
    "user": "user-17",
    "owner": "shop",
    "state": "good",
    "what": "4 of the last 20 answers failed (timeout 4).",
    "do": "See why: tokentail list --all --status failed",
    "provider": "openai",
    "address": "https://api.openai.com:443",
    "worker": "worker-1",
    "call_error": None,
    "losses": 0,
    "provider_calls": 1,
    "usage": {"input_tokens": 6, "output_tokens": 7, "reasoning_tokens": None, "cached_tokens": 0},
    "completion_id": f"chatcmpl-{_JOB_ID}",
    "response_id": f"resp_{_JOB_ID}",
    "workers": 2,
    "warning": None,
    "time_to_first_token_ms": 380,
}
_DEPTH = 6  # a schema that contains itself ends here


def example_of(schema: Schema, schemas: dict[str, Schema], name: str = "", depth: int = 0) -> Any:
    """An example that the schema admits; `name` is that of the property whose schema this is."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    if "const" in schema:
        return schema["const"]
    if name in _BY_NAME and _admits(schema, _BY_NAME[name], schemas):
        return _BY_NAME[name]
    if "enum" in schema:
        return schema["enum"][0]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return example_of(choices[0], schemas, name, depth)
    return _plain(schema, schemas, name, depth)


def _plain(schema: Schema, schemas: dict[str, Schema], name: str, depth: int) -> Any:
    kind = schema.get("type", "object")
    if kind == "object" and depth < _DEPTH:
        properties: dict[str, Schema] = schema.get("properties", {})
        required = set(schema.get("required", properties))
        shown = {key: value for key, value in properties.items() if key in required or key in _BY_NAME}
        return {key: example_of(value, schemas, key, depth + 1) for key, value in shown.items()}
    if kind == "array" and depth < _DEPTH:
        return [example_of(schema.get("items", {}), schemas, name.removesuffix("s"), depth + 1)]
    if kind == "string":
        return _TIME if schema.get("format") == "date-time" else name or "text"
    return {"integer": 12, "number": 1.5, "boolean": False, "array": [], "object": {}}.get(kind)


def _admits(schema: Schema, value: Any, schemas: dict[str, Schema]) -> bool:
    """Whether the value has a type of the schema; what is in an object or array is not looked at."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return any(_admits(choice, value, schemas) for choice in choices)
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if schema.get("format") == "date-time":
        return False
    kinds: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "object": dict,
        "array": list,
        "null": type(None),
    }
    kind = schema.get("type")
    return kind not in kinds or isinstance(value, kinds[kind])
