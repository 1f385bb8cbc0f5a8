"""The bodies: what polls and views return, in JSON. Pure.

A poll's body is joined from stored elements, which are JSON already; they are never decoded on the way out.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from app.http.job_routes import JOB
from app.http.response import JSON, OPEN, Response
from tokentail.jobs.job import Job
from tokentail.log.batch import Batch
from tokentail.log.element import decode

_OPEN_HEADERS = {"Content-Type": JSON, "Cache-Control": OPEN}  # of a response that may still change
_KEPT_S = 60  # how long a client may keep a response that only a deletion can make untrue
_encode = msgspec.json.encode
_JSON = {True: b"true", False: b"false"}


def poll_response(batch: Batch, poll_after_ms: int, now_ms: Callable[[], int], *, with_events: bool) -> Response:
    """The response to a poll with this batch."""
    body = events_body(batch, poll_after_ms) if with_events else tokens_body(batch, poll_after_ms)
    return Response(200, _kept_headers(batch, now_ms()) if batch.is_done else _OPEN_HEADERS, body)


def _kept_headers(batch: Batch, now_ms: int) -> Mapping[str, str]:
    # The last response for a cursor never changes, but it must not be shown after the job has expired.
    if batch.expires_at_ms is None:
        return _OPEN_HEADERS  # a tail receives the end before the time of expiry
    left_s = (batch.expires_at_ms - now_ms) / 1000
    return {**_OPEN_HEADERS, "Cache-Control": f"private, max-age={int(max(min(left_s, _KEPT_S), 0))}"}


def tokens_body(batch: Batch, poll_after_ms: int) -> bytes:
    """A batch as polls of tokens return it: its tokens, the cursor behind it, and at the end how the job ended."""
    return _batch_body(batch, b"tokens", batch.tokens, poll_after_ms)


def events_body(batch: Batch, poll_after_ms: int) -> bytes:
    """A batch as polls of events return it: all elements as the log has them, tokens as strings, events as objects."""
    return _batch_body(batch, b"events", batch.elements, poll_after_ms)


def _batch_body(batch: Batch, name: bytes, elements: Sequence[bytes], poll_after_ms: int) -> bytes:
    # Written by hand, because web processes spend most of their time here; no value in it needs escaping.
    body = b'{"job_id":"%b","status":"%b","%b":[%b],"cursor":"%b","reset":%b,"done":%b,"poll_after_ms":%d' % (
        batch.job_id.encode(),
        batch.status.encode(),
        name,
        b",".join(elements),
        str(batch.cursor).encode(),
        _JSON[batch.is_reset],
        _JSON[batch.is_done],
        poll_after_ms,
    )
    end = batch.end_element if batch.is_done else None
    return body + b"}" if end is None else body + _outcome_json(end)


@lru_cache(maxsize=1024)
def _outcome_json(end_element: bytes) -> bytes:
    """How a job ended, as the rest of a JSON object. Kept, because clients read an ended job repeatedly."""
    return b"," + _encode(_outcome(decode(end_element)))[1:]


def job_view(job: Job, queue_position: int | None = None, waits_for: str | None = None) -> dict[str, Any]:
    """A job's view. `queue_position` and `waits_for` are for a queued job."""
    first_token_ms = None if job.first_token_at_ms is None else job.first_token_at_ms - job.created_at_ms
    return {
        "id": job.id,
        "status": job.status,
        "model": job.model,
        "queue_position": queue_position,  # 1 is next
        "waits_for": waits_for,
        "attempts": job.attempts,
        "provider_calls": job.calls.calls,  # more than one: calls were repeated
        "token_count": job.token_count,
        "time_to_first_token_ms": first_token_ms,  # since it was submitted
        **_outcome(job.end),
        "provider_reason": (job.end or {}).get("provider_reason"),
        "provider_request_id": (job.end or {}).get("provider_request_id"),
        "user": job.user,
        "metadata": job.submitted.get("metadata", {}),
        "created_at": moment(job.created_at_ms),
        "started_at": moment(job.started_at_ms),
        "first_token_at": moment(job.first_token_at_ms),
        "answer_first_token_at": moment(job.generation_token_at_ms if job.token_count else None),
        "ended_at": moment(job.ended_at_ms),
        "expires_at": moment(job.expires_at_ms),
        "links": links(job.id),
    }


def operators_view(job: Job, view: dict[str, Any]) -> dict[str, Any]:
    """What an operator sees of a job's view: its owner besides, and nothing that the client or the model wrote."""
    open_to_operators = {name: view["links"][name] for name in ("self", "cancel")}
    return {
        **view,
        "owner": job.owner,
        "provider": job.calls.provider or None,
        "address": job.calls.address or None,
        "call_error": job.calls.error or None,  # of the last call that failed, though a later one may have succeeded
        "worker": job.last_worker or None,
        "losses": job.losses,
        "links": open_to_operators,
        "metadata": {},
    }


def page_body(jobs: list[dict[str, Any]], following: str | None, missing: int) -> dict[str, Any]:
    """A page of a list of jobs, which counts the jobs that cannot be read now, if there are any."""
    return {"jobs": jobs, "next": following, **({"missing": missing} if missing else {})}


def asked_body(stored: bytes) -> bytes:
    """A stored request in the fields of a submission, without what another interface keeps beside it."""
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
    fields.pop("origin", None)
    return _encode(fields)


def links(job_id: str) -> dict[str, str]:
    """The paths of the job's calls."""
    here = job_path(job_id)
    return {"self": here, **{name: f"{here}/{name}" for name in ("tokens", "events", "stream", "text", "cancel")}}


def job_path(job_id: str) -> str:
    """The path of a job."""
    return JOB.format(job_id=job_id)


def text_of(batch: Batch) -> str:
    """The batch's tokens, joined."""
    tokens: list[str] = msgspec.json.decode(b"[" + b",".join(batch.tokens) + b"]")
    return "".join(tokens)


def _outcome(end: dict[str, Any] | None) -> dict[str, Any]:
    end = end or {}
    return {name: end.get(name) for name in ("finish_reason", "usage", "error")}


def moment(unix_ms: int | None) -> str | None:
    """A point in time by RFC 3339, in UTC, to the millisecond."""
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
