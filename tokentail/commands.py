"""Redis, as this project uses it: every key, every script, what goes in and what comes out.

The one file that knows them. Pure: it builds commands and decodes replies; `store.py` sends them. The scripts are in
`lua/`, one a file; together they enforce the laws of the log (docs/protocol.md).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tokentail.batch import Batch
from tokentail.cursor import OPENING, Cursor
from tokentail.element import End, Submitted, decode, encode
from tokentail.errors import AttemptLost, JobGone, JobNotFound, SuspectedJob
from tokentail.identifiers import new_generation
from tokentail.job import Job, NewJob, Status
from tokentail.script import Command, Script

# Open jobs, and which of them may be in the queue: indexes, in a slot of their own, repaired by the sweep.
OPEN_JOBS = "tt:{open}:jobs"  # sorted set by creation
OPEN_CLIENTS = "tt:{open}:clients"  # set of owners that have some
WORKERS = "tt:workers"  # hash: worker → its lease and what it serves
CATALOG = "tt:catalog"  # what was served last, for when no worker lives
SWEEP_TURN = "tt:sweep"  # held by the one process that sweeps now


@dataclass(frozen=True)
class Retention:
    """How long a closed job's content is kept, and how long after that its tombstone (milliseconds)."""

    content_ms: int
    tombstone_ms: int


@dataclass(frozen=True)
class Claim:
    """A job that was taken: what its attempt goes on from."""

    owner: str
    generation: str  # the name to give the next generation
    length: int  # of the log
    token_count: int
    byte_count: int
    upstream: str  # the upstream's position, where it can be resumed; else ""
    attempts: int
    request: bytes
    created_at_ms: int
    first_token_at_ms: int | None  # of an earlier attempt


class Append(msgspec.Struct, frozen=True):
    """What one attempt adds to a log in one step. (One is made for nearly every token: a dataclass would cost more.)"""

    job_id: str
    attempt: str
    expected: int  # index of elements[0]
    elements: tuple[bytes, ...]  # at most MAX_APPEND
    now_ms: int
    token_count: int  # tokens in the generation, these included
    byte_count: int  # bytes in the log, these included
    upstream: str = ""
    generation: str = ""  # set when elements[0] starts a generation
    end_status: Status | None = None  # set when the last element is the `end`


MAX_READ_BYTES = 1 << 20  # of elements in one read; the one that reaches it is the last
ANY_LOSSES = 1_000_000
MAX_APPEND = 1000  # elements in one append; Lua's unpack ends at about 8,000


class Appended(msgspec.Struct, frozen=True):
    """How an append went. With `is_lost`, the store has only `length` elements, fewer than the writer had written."""

    length: int
    is_lost: bool = False


def _keys(job_id: str) -> tuple[str, str, str]:
    slot = f"tt:{{{job_id}}}"  # braces: all of a job is in one cluster slot
    return f"{slot}:job", f"{slot}:log", f"{slot}:request"


def live_channel(job_id: str) -> str:
    """The channel on which a job's news is published: {index}, then an element a line."""
    return _keys(job_id)[1]


def followed_job_id(channel: str) -> str:
    """The job whose news come on a channel."""
    return channel.removeprefix("tt:{").removesuffix("}:log")


def worker_channel(worker: str) -> str:
    """The channel on which a worker hears that a job it holds was closed by somebody else."""
    return f"tt:worker:{worker}"


def closed_job_id(message: bytes) -> str:
    """The job named in a message on a worker's channel."""
    return message.decode("utf-8", "replace").removeprefix("tt:{").removesuffix("}:job")


def held_jobs(owner: str) -> str:
    """Sorted set of an owner's open jobs that may not be in the queue yet, by creation."""
    return f"tt:{{open}}:held:{owner}"


def admitted_jobs(owner: str) -> str:
    """Set of an owner's open jobs that are in the queue or run."""
    return f"tt:{{open}}:admitted:{owner}"


def owner_index(owner: str) -> str:
    """Sorted set of an owner's jobs by creation."""
    return f"tt:owner:{owner}"


def enter(owner: str, job_id: str, now_ms: int, most: int, most_of_owner: int, share: int) -> Command[list[Any]]:
    """Count the job among the open ones: [b"admitted"], [b"held"], [b"full"], or [b"client", admitted jobs]."""
    return Command(_enter, _open_keys(owner), (owner, job_id, now_ms, most, most_of_owner, share), list)


def admit(owner: str, share: int, ended: Sequence[str]) -> Command[list[str]]:
    """Take `ended` out of the count; the jobs of the owner that may enter the queue now."""
    return Command(
        _admit, _open_keys(owner), (owner, share, *ended), lambda reply: [job_id.decode() for job_id in reply]
    )


def _open_keys(owner: str) -> tuple[str, ...]:
    return OPEN_JOBS, OPEN_CLIENTS, held_jobs(owner), admitted_jobs(owner)


def idempotency_key(owner: str, key: str) -> str:
    """Where the job of an Idempotency-Key is remembered; the key itself is the client's, so only its digest is kept."""
    digest = hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()
    return f"tt:idempotency:{digest}"


_create, _claim, _append, _close, _requeue, _delete, _read, _view = (
    Script(name, preludes=("prelude",))
    for name in ("create", "claim", "append", "close", "requeue", "delete", "read", "view")
)
_vital, _enter, _admit = Script("vital"), Script("enter"), Script("admit")


def vital(key: str, command: str, *args: str | bytes | int) -> tuple[str | bytes | int, ...]:
    """A Redis command that makes one write to `key` even when memory is full."""
    return ("EVAL", _vital.source, 1, key, command, *args)


def create(job: NewJob, request: bytes) -> Command[bool]:
    """Whether the job was made; False when it was there already."""
    submitted = encode(Submitted(job.model, job.metadata))
    fields: dict[str, str | int] = {
        "owner": job.owner,
        "model": job.model,
        "status": Status.QUEUED,
        "created_at": job.created_at_ms,
        "queued_at": job.created_at_ms,
        "attempts": 0,
        "enqueues": 1,
        "attempt": "",
        "worker": "",
        "generation": OPENING,
        "base": 1,
        "tokens": 0,
        "bytes": len(submitted),
    }
    flat = [part for pair in fields.items() for part in pair]
    return Command(_create, _keys(job.id), (submitted, request, *flat), bool)


def claim(job_id: str, attempt: str, worker: str, now_ms: int, most_losses: int = ANY_LOSSES) -> Command[Claim | None]:
    """The claim, or None when the job is not to be had: running elsewhere, closed, or gone.

    Raises SuspectedJob (when decoded) where the job was lost more than `most_losses` times; it is left in the queue.
    """

    def decode_claim(reply: list[Any]) -> Claim | None:
        if reply[0] == b"suspect":
            raise SuspectedJob(reply[1])
        if reply[0] != b"claimed":
            return None
        _, length, tokens, size, upstream, attempts, request, owner, created, shown = reply
        # Never a name that an attempt before had: a lost one may have shown readers tokens that the store forgot.
        return Claim(
            owner=owner.decode(),
            generation=new_generation(),
            length=length,
            token_count=tokens,
            byte_count=size,
            upstream=upstream.decode(),
            attempts=attempts,
            request=request,
            created_at_ms=int(created),
            first_token_at_ms=int(shown) if shown else None,
        )

    return Command(_claim, _keys(job_id), (attempt, worker, now_ms, most_losses), decode_claim)


def append(a: Append, retention: Retention) -> Command[Appended]:
    """Append once, however often it is sent. Raises AttemptLost (when decoded) if the attempt was fenced out."""
    args = (
        a.attempt,
        a.expected,
        a.now_ms,
        a.token_count,
        a.byte_count,
        a.upstream,
        a.generation,
        a.end_status or "",
        retention.content_ms,
        retention.tombstone_ms,
        *a.elements,
    )
    return Command(_append, _keys(a.job_id), args, _decode_appended)


def _decode_appended(reply: list[Any]) -> Appended:
    if reply[0] == b"fenced":
        raise AttemptLost(AttemptLost.__doc__)
    return Appended(reply[1], reply[0] == b"lost")


def close(job_id: str, end: End, now_ms: int, retention: Retention, *, holder: str = "*") -> Command[bool]:
    """Whether this call failed or cancelled the job; False when it was closed before, or not held by `holder`."""
    if end.status is Status.COMPLETED:
        raise ValueError("Only its holder completes a job, by an append.")
    args = (holder, encode(end), end.status, now_ms, retention.content_ms, retention.tombstone_ms)

    def decode_closed(reply: list[Any]) -> bool:
        if reply[0] == b"absent":
            raise JobNotFound(JobNotFound.__doc__)
        return bool(reply[0] == b"closed")

    return Command(_close, _keys(job_id), args, decode_closed)


def requeue(job_id: str, holder: str, enqueues: int, now_ms: int, *, is_loss: bool = False) -> Command[int]:
    """The number of the enqueue that must follow; 0 when the job has moved on."""
    return Command(_requeue, _keys(job_id), (holder, enqueues, now_ms, int(is_loss)), int)


def delete(job_id: str, now_ms: int, retention: Retention) -> Command[bool]:
    """Cancel if open, then erase the content; False when there is no such job."""
    return Command(_delete, _keys(job_id), (now_ms, retention.tombstone_ms), bool)


def read(job_id: str, cursor: Cursor, limit: int) -> Command[Batch]:
    """At most `limit` elements and about MAX_READ_BYTES. Raises JobNotFound or JobGone (when decoded)."""

    def decode_batch(reply: list[Any]) -> Batch:
        if not reply:
            raise JobNotFound(JobNotFound.__doc__)
        if len(reply) == 2:
            raise JobGone(reply[1].decode())
        status, owner, generation, base, first, length, is_reset, tokens, *moments, end, elements = reply
        first_token_at_ms, appended_at_ms, expires_at_ms = (int(moment) if moment else None for moment in moments)
        return Batch(
            job_id=job_id,
            owner=owner.decode(),
            status=Status(status.decode()),
            generation=generation.decode(),
            base=base,
            first=first,
            elements=tuple(elements),
            length=length,
            is_reset=bool(is_reset),
            token_count=int(tokens),
            first_token_at_ms=first_token_at_ms,
            appended_at_ms=appended_at_ms,
            expires_at_ms=expires_at_ms,
            end_element=end or None,
        )

    return Command(_read, _keys(job_id), (cursor.generation, cursor.index, limit, MAX_READ_BYTES), decode_batch)


def view(job_id: str) -> Command[Job]:
    """What is known of the job. Raises JobNotFound or JobGone (when decoded)."""

    def decode_job(reply: list[Any]) -> Job:
        flat, length, submitted, end = reply
        record = _pairs(flat)
        if not record:
            raise JobNotFound(JobNotFound.__doc__)
        if length == 0:
            raise JobGone(record["owner"])

        def moment(name: str) -> int | None:
            return int(record[name]) if name in record else None

        return Job(
            id=job_id,
            owner=record["owner"],
            model=record["model"],
            status=Status(record["status"]),
            created_at_ms=int(record["created_at"]),
            queued_at_ms=int(record["queued_at"]),
            started_at_ms=moment("started_at"),
            first_token_at_ms=moment("first_token_at"),
            ended_at_ms=moment("ended_at"),
            expires_at_ms=moment("expires_at"),
            attempts=int(record["attempts"]),
            losses=int(record.get("losses", 0)),
            enqueues=int(record["enqueues"]),
            attempt=record["attempt"],
            worker=record["worker"],
            generation=record["generation"],
            token_count=int(record["tokens"]),
            byte_count=int(record["bytes"]),
            submitted=decode(submitted),
            end=decode(end) if end else None,
        )

    return Command(_view, _keys(job_id), (), decode_job)


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
