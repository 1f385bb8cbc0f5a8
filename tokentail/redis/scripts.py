"""Script calls: what goes into each script, and what its reply means.

Pure: it builds commands and decodes replies; `script_client.py` sends them. The scripts are in `lua/`, one a file;
together they enforce the laws of the log (docs/protocol.md).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from tokentail.errors import AttemptLost, JobNotFound, SuspectedJob
from tokentail.identifiers import new_generation
from tokentail.jobs.job import Claim, Job, NewJob, Retention, Status
from tokentail.jobs.user import user_digest
from tokentail.log.append import Append, Appended
from tokentail.log.batch import MAX_READ_BYTES, Batch
from tokentail.log.cursor import OPENING, Cursor
from tokentail.log.element import End, Submitted, encode
from tokentail.log.survey import Survey
from tokentail.redis.keys import SWEEP_TURN, WORKER_CHANNELS, job_keys, live_channel, record_of
from tokentail.redis.replies import FIELDS, NEEDED, batch_decoder, check_request, job_decoder, number, number_or_none
from tokentail.redis.script import Command, Script

FORMAT = 1  # of records; the scripts refuse a later one, and read a record without one as this
ANY_LOSSES = 1_000_000  # a claim of a job however often it was lost

_append, _claim, _close, _close_spoilt, _requeue, _delete, _read, _view, _revoke = (
    Script(name, preludes=("prelude",))
    for name in ("append", "claim", "close", "close_spoilt", "requeue", "delete", "read", "view", "revoke")
)
_webhook = Script("webhook", preludes=("prelude",))
_create, _vital, _listed, _matching, _turn, _remember, _usual_append = (
    Script(name) for name in ("create", "vital", "listed", "matching", "turn", "remember", "usual_append")
)


def whole_ms(score: float) -> int:
    """A time by which an index is ordered; 0 for one that is no time."""
    return int(score) if math.isfinite(score) else 0


def take_turn(ttl_ms: int) -> Command[int]:
    """0 when another process sweeps; 1 when this one does; 2 when it does because the key was spoilt."""
    return Command(_turn, (SWEEP_TURN,), (ttl_ms,), int)


def remember(name: str, job_id: str, digest: str, ttl_ms: int, instead_of: str = "") -> Command[tuple[str, str, bool]]:
    """The job id and digest that an Idempotency-Key is bound to, and whether a binding had to be replaced.

    A binding to the job `instead_of` gives way to this one.
    """

    def decode_bound(reply: list[Any]) -> tuple[str, str, bool]:
        first_id, first_digest = reply[0].decode().split(" ")
        return first_id, first_digest, bool(reply[1])

    args = (f"{job_id} {digest}", ttl_ms, f"{instead_of} {digest}")
    return Command(_remember, (name,), args, decode_bound)


def listed(name: str, last: str, created_ms: str, most: int) -> Command[list[tuple[bytes, int]]]:
    """At most `most` jobs of a list, newest first, each with its creation; those before the job `last`, if any.

    `created_ms` is the place of `last` when it is no longer on the list; without it the page is then empty.
    """

    def decode_listed(reply: list[bytes]) -> list[tuple[bytes, int]]:
        return [(reply[i], whole_ms(float(reply[i + 1]))) for i in range(0, len(reply), 2)]

    return Command(_listed, (name,), (last, created_ms, most), decode_listed)


def matching(job_ids: Sequence[str], fields: Mapping[str, str]) -> Command[list[str]]:
    """Which of the jobs have these fields in their record, or a record that cannot be read.

    A value that ends in * is the beginning of values.
    """

    def decode_places(places: list[int]) -> list[str]:
        return [job_ids[place - 1] for place in places]

    flat = tuple(part for pair in fields.items() for part in pair)
    return Command(_matching, tuple([record_of(job_id) for job_id in job_ids]), flat, decode_places)


def vital(key: str, command: str, *args: str | bytes | int) -> tuple[str | bytes | int, ...]:
    """A Redis command that makes one write to `key` even when memory is full."""
    return ("EVAL", _vital.source, 1, key, command, *args)


def vital_call(key: str, command: str, *args: str | bytes | int) -> Command[Any]:
    """Like `vital`, as a script call."""
    return Command(_vital, (key,), (command, *args), lambda reply: reply)


def create(job: NewJob, request: bytes) -> Command[bool]:
    """Whether the job was made; False when it was there already."""
    submitted = encode(Submitted(job.model, job.metadata, job.user or UNSET))
    fields: dict[str, str | int] = {
        # First what each append reads and writes: Redis looks for a field of a small hash one by one.
        "status": Status.QUEUED,
        "attempt": "",
        "format": FORMAT,
        "tokens": 0,
        "bytes": len(submitted),
        "appended_at": "",
        "upstream": "",
        "counts": "",
        "counted": "",
        "pace": "",
        "owner": job.owner,
        "model": job.model,
        "created_at": job.created_at_ms,
        "queued_at": job.created_at_ms,
        "attempts": 0,
        "enqueues": 1,
        "worker": "",
        "generation": OPENING,
        "base": 1,
    }
    if job.user:
        fields["user"] = user_digest(job.owner, job.user)
    if job.retention_ms is not None:
        fields["retention"] = job.retention_ms
    if job.trace:
        fields["trace"] = job.trace
    flat = [part for pair in fields.items() for part in pair]
    return Command(_create, job_keys(job.id), (submitted, request, *flat), bool)


def claim(job_id: str, attempt: str, worker: str, now_ms: int, most_losses: int = ANY_LOSSES) -> Command[Claim | None]:
    """The claim; None when the job is running elsewhere, closed, deleted or expired.

    Raises SuspectedJob (when decoded) where the job was lost more than `most_losses` times; it is left in the queue.
    Raises Unreadable for a request that is no JSON object, though the job is claimed then.
    """

    keys = job_keys(job_id)

    def decode_claim(reply: list[Any]) -> Claim | None:
        if reply[0] == b"suspect":
            raise SuspectedJob(reply[1])
        if reply[0] != b"claimed":
            return None
        _, length, tokens, size, upstream, counts, attempts, request, owner, created, shown, *more = reply
        model, calls, user, trace = (part.decode() for part in more[:-1])
        check_request(keys[2], request)
        # Never a name that an attempt before had: a lost one may have shown readers tokens that the store forgot.
        return Claim(
            owner=owner.decode(),
            generation=new_generation(),
            length=length,
            token_count=tokens,
            byte_count=size,
            upstream=upstream.decode(),
            counts=counts.decode(),
            model=model,
            calls=calls,
            user_digest=user,
            trace=trace,
            queued_at_ms=number_or_none(more[-1]),
            attempts=attempts,
            request=request,
            created_at_ms=number(created),
            first_token_at_ms=number_or_none(shown),
        )

    return Command(_claim, keys, (attempt, worker, now_ms, most_losses), decode_claim)


def usual_append(many: Sequence[Append]) -> Command[list[Appended | None]]:
    """Append tokens, each time to another log; None stands for an append of which nothing was done, for `append`."""
    args = tuple([b"%s %d\n%s" % (a.attempt.encode(), a.expected, b"\n".join(a.elements)) for a in many])

    def decode_left(left: list[int]) -> list[Appended | None]:
        return [None if i in left else Appended(a.expected + len(a.elements)) for i, a in enumerate(many, start=1)]

    return Command(_usual_append, tuple([live_channel(a.job_id) for a in many]), args, decode_left)


def append(a: Append, retention: Retention) -> Command[Appended]:
    """Append once, however often it is sent. Raises AttemptLost (when decoded) if the attempt was fenced out."""
    is_end = a.end_status is not None
    keys = job_keys(a.job_id) if is_end else job_keys(a.job_id)[:2]
    if not a.has_totals:
        return Command(_append, keys, (a.attempt, a.expected, "", *a.elements), _decode_appended)
    args = (
        a.attempt,
        a.expected,
        a.now_ms,
        a.token_count,
        a.byte_count,
        a.upstream,
        a.counts,
        a.generation,
        a.end_status or "",
        retention.content_ms if is_end else "",
        retention.tombstone_ms if is_end else "",
        a.calls,
        retention.webhook_ms if is_end else "",
        *a.elements,
    )
    return Command(_append, keys, args, _decode_appended)


def _decode_appended(reply: int | list[Any]) -> Appended:
    if isinstance(reply, int):
        return Appended(reply)
    if reply[0] == b"fenced":
        raise AttemptLost(AttemptLost.__doc__)
    return Appended(reply[1], is_lost=True)


def close(job_id: str, end: End, now_ms: int, retention: Retention, *, holder: str = "*") -> Command[bool]:
    """Whether this call failed or cancelled the job; False when it was closed before, or not held by `holder`."""
    if end.status is Status.COMPLETED:
        raise ValueError("Only its holder completes a job, by an append.")
    kept = retention.content_ms, retention.tombstone_ms, retention.webhook_ms
    args = (holder, encode(end), end.status, now_ms, *kept, WORKER_CHANNELS)

    def decode_closed(reply: list[Any]) -> bool:
        if reply[0] == b"absent":
            raise JobNotFound(JobNotFound.__doc__)
        return bool(reply[0] == b"closed")

    return Command(_close, job_keys(job_id), args, decode_closed)


def requeue(job_id: str, holder: str, enqueues: int, now_ms: int, *, is_loss: bool = False) -> Command[int]:
    """The number of the enqueue that must follow; 0 when the job has moved on."""
    return Command(_requeue, job_keys(job_id), (holder, enqueues, now_ms, int(is_loss)), int)


def delete(
    job_id: str, now_ms: int, retention: Retention, *, with_tombstone: bool = False
) -> Command[tuple[str, str] | None]:
    """Cancel if open, then erase the content, or even the record; the job's owner and its user's digest.

    None when there is no such job.
    """

    def decode_deleted(reply: list[bytes]) -> tuple[str, str] | None:
        return (reply[0].decode(), reply[1].decode()) if reply else None

    args = (now_ms, retention.tombstone_ms, WORKER_CHANNELS, retention.webhook_ms, int(with_tombstone))
    return Command(_delete, job_keys(job_id), args, decode_deleted)


def read(job_id: str, cursor: Cursor, limit: int) -> Command[Batch]:
    """At most `limit` elements and about MAX_READ_BYTES. Raises JobNotFound or JobGone (when decoded)."""
    keys = job_keys(job_id)
    args = (cursor.generation, cursor.index, limit, MAX_READ_BYTES)
    return Command(_read, keys, args, batch_decoder(job_id, keys[1]))


def revoke(job_id: str) -> Command[int]:
    """Refuse the read tokens of a job that were made so far; how often that was done, 0 when there is no such job."""
    return Command(_revoke, job_keys(job_id), (), int)


def view(job_id: str) -> Command[Job]:
    """What is known of the job. Raises JobNotFound or JobGone (when decoded)."""
    keys = job_keys(job_id)
    return Command(_view, keys, (len(NEEDED), *FIELDS), job_decoder(job_id, keys[1]))


def close_spoilt(
    job_id: str, owner: str, model: str, survey: Survey, end: End, now_ms: int, retention: Retention
) -> Command[bool]:
    """Whether this call failed a job whose keys cannot be read; False when it was closed before, or deleted."""
    args = (
        owner,
        model,
        encode(Submitted(model, {})),
        encode(end),
        now_ms,
        retention.content_ms,
        retention.tombstone_ms,
        "" if survey.is_whole else survey.length,
        survey.generation,
        survey.base,
        new_generation(),
        WORKER_CHANNELS,
        retention.webhook_ms,
    )
    return Command(_close_spoilt, job_keys(job_id), args, bool)


def note_webhook(job_id: str, noted: str, then: str) -> Command[bool]:
    """Whether the record said `noted` of its webhook, and says `then` from now on; with "" no webhook is due."""
    return Command(_webhook, job_keys(job_id), (noted, then), bool)
