"""The job: its status, the legal transitions, and what is known of it. Values only; nothing here does I/O."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class Status(StrEnum):
    """Where a job stands. The only status that clients see; RQ's own is for operators."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_closed(self) -> bool:
        return self in CLOSED


CLOSED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

# What the Lua scripts allow, each in its own words. Nothing here reads the table: it is the model that the tests in
# tests/contract/ hold the scripts to.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    # Back to queued when an attempt is lost and another will follow.
    Status.RUNNING: frozenset({Status.QUEUED, *CLOSED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


class FinishReason(StrEnum):
    """Why the model stopped, in one vocabulary for every provider."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the provider counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class FailureKind(StrEnum):
    """What went wrong with a job, in words that a program can act on."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    REJECTED = "rejected"
    CONTENT_FILTERED = "content_filtered"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, rename={"kind": "type"}):
    """Why a job failed. Never holds a key, a header or a prompt."""

    kind: FailureKind
    message: str
    is_retryable: bool = False  # whether submitting the same request again may help
    provider_status: int | None = None  # the provider's HTTP status
    provider_code: str | None = None  # the provider's own word


@dataclass(frozen=True)
class NewJob:
    """What the web process knows when it submits."""

    id: str
    owner: str  # the API key's name; "" where no keys are configured
    model: str
    created_at_ms: int  # Unix time
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One job as the store has it."""

    id: str
    owner: str
    model: str
    status: Status
    created_at_ms: int
    queued_at_ms: int  # when it last entered the queue
    started_at_ms: int | None  # of the first attempt
    first_token_at_ms: int | None
    ended_at_ms: int | None
    expires_at_ms: int | None  # when log and request go; None while the job is open
    attempts: int  # how many workers have taken it
    losses: int  # how many of them were lost, rather than handed it over
    enqueues: int  # how often it was put in the queue; numbers its RQ id
    attempt: str  # the holder's fence token; "" when nobody holds it
    worker: str  # the holder's process; "" when nobody holds it
    generation: str
    token_count: int  # tokens in the current generation
    byte_count: int  # bytes in the log
    submitted: dict[str, Any]  # the log's first element
    end: dict[str, Any] | None  # the log's last element, once the job is closed
