"""The response object of Responses: what is known of a job, in their form. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.openai.answer import Answer, counts_of
from app.openai.responses_items import output_item, response_id
from tokentail.jobs.job import FailureKind

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_CODES = {
    FailureKind.RATE_LIMITED: "rate_limit_exceeded",
    FailureKind.OVERLOADED: "rate_limit_exceeded",
    FailureKind.REJECTED: "invalid_prompt",
    FailureKind.CONTENT_FILTERED: "invalid_prompt",
}
_DEFAULTS: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}},
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "user": None,
}


@dataclass(frozen=True)
class ResponseFacts:
    """What does not change while a job runs: its id, model and creation, and what its request must repeat."""

    job_id: str
    model: str
    created_s: int  # Unix time
    request: Mapping[str, Any]  # the stored request: temperature, top_p, metadata, and the origin

    @property
    def origin(self) -> Mapping[str, Any]:
        """What the client's own body said; empty for a job that another interface made."""
        return self.request.get("origin") or {}

    @property
    def is_background(self) -> bool:
        return bool(self.origin.get("background"))

    @property
    def with_state(self) -> bool:
        """Whether the client asked for what it has to send back with the next turn."""
        return "reasoning.encrypted_content" in (self.origin.get("include") or ()) or not self.origin.get("store", True)


def response_object(
    facts: ResponseFacts, status: str, output: Sequence[Any] = (), end: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The response in one state. `end` is the job's, once it has one."""
    end, origin = end or {}, facts.origin
    reason = _INCOMPLETE.get(end.get("finish_reason") or "") if status == "incomplete" else None
    return {
        "id": response_id(facts.job_id),
        "object": "response",
        "created_at": facts.created_s,
        "status": status,
        "background": facts.is_background,
        "error": _error(end) if status == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        **{name: origin.get(name, default) for name, default in _DEFAULTS.items()},
        "metadata": facts.request.get("metadata") or {},
        "model": facts.model,
        "output": list(output),
        "store": bool(origin.get("store", True)),
        "temperature": facts.request.get("temperature"),
        "top_p": facts.request.get("top_p"),
        "usage": _usage(end.get("usage")),
    }


def status_of(job_status: str, end: Mapping[str, Any] | None = None) -> str:
    """The response's status for a job's."""
    if job_status == "completed" and (end or {}).get("finish_reason") in _INCOMPLETE:
        return "incomplete"
    return {"running": "in_progress"}.get(job_status, job_status)


def output_of(answer: Answer, facts: ResponseFacts, last_status: str) -> list[dict[str, Any]]:
    """The answer's items; all but the last are whole."""
    last = len(answer.items) - 1
    return [
        output_item(facts.job_id, item, n, last_status if n == last else "completed", with_state=facts.with_state)
        for n, item in enumerate(answer.items)
    ]


def answered(facts: ResponseFacts, job_status: str, answer: Answer) -> dict[str, Any]:
    """The response as it is now."""
    end = answer.end
    status = status_of(job_status, end)
    last = {"completed": "completed", "in_progress": "in_progress", "queued": "in_progress"}.get(status, "incomplete")
    return response_object(facts, status, output_of(answer, facts, last), end)


def _error(end: Mapping[str, Any]) -> dict[str, Any]:
    failure = end.get("error") or {"type": "internal", "message": "The job failed."}
    code = next((code for kind, code in _CODES.items() if kind == failure["type"]), "server_error")
    return {"code": code, "message": failure["message"], "type": failure["type"]}


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if (counts := counts_of(usage)) is None:
        return None
    return {
        "input_tokens": counts["input_tokens"],
        # The SDKs' types want both; how many were written to the cache is in no usage of ours.
        "input_tokens_details": {"cached_tokens": counts["cached_tokens"], "cache_write_tokens": 0},
        "output_tokens": counts["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": counts["reasoning_tokens"]},
        "total_tokens": counts["input_tokens"] + counts["output_tokens"],
    }
