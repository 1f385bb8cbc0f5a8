"""The job: its status, the legal transitions, and what is known of it. Values only; nothing here does I/O."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.call_record import NO_CALLS, CallRecord


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


class FinishReason(StrEnum):
    """Why the model stopped, in one vocabulary for every provider."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the provider counted them; None where it reported none."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    # Of an answer that was stopped before the provider had counted its output: from the size of what was shown.
    output_tokens_estimated: int | UnsetType = UNSET


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
    ABANDONED = "abandoned"


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
    user: str = ""  # of the owner's users, the one whose job it is; "" for none
    retention_ms: int | None = None  # how long its content is kept, in the place of the deployment's time
    trace: str = ""  # the `traceparent` of its submission's span; "" when nothing is traced


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
    first_token_at_ms: int | None  # of the first generation that had one
    ended_at_ms: int | None
    expires_at_ms: int | None  # when log and request go; None while the job is open
    attempts: int  # how many workers have taken it
    losses: int  # how many of them were lost, rather than handed it over
    enqueues: int  # how often it was put in the queue; numbers its RQ id
    attempt: str  # the holder's fence token; "" when no attempt holds the job
    worker: str  # the holder's process; "" when no attempt holds the job
    generation: str
    token_count: int  # tokens in the current generation
    byte_count: int  # bytes in the log
    submitted: dict[str, Any]  # the log's first element
    end: dict[str, Any] | None  # the log's last element, once the job is closed
    generation_token_at_ms: int | None = None  # the first token of the latest generation that had one
    shares: int = 0  # how often its owner has revoked the links that were shared
    last_worker: str = ""  # the process that claimed it last, whether it holds the job or not
    calls: CallRecord = NO_CALLS
    user_digest: str = ""  # of the user's name, which is in the log's first element; "" for none

    @property
    def user(self) -> str | None:
        """The user's name as the application gave it."""
        return self.submitted.get("user")


@dataclass(frozen=True, slots=True)
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
    counts: str = ""  # of the latest generation, as tokentail/log/counts.py has them
    model: str = ""
    user_digest: str = ""
    calls: str = ""  # by the attempts before, as tokentail/jobs/call_record.py has them
    trace: str = ""  # of the submission's span
    queued_at_ms: int | None = None  # when it last entered the queue


@dataclass(frozen=True)
class Retention:
    """How long a closed job's content is kept, and how long after that its tombstone (milliseconds).

    `webhook_ms` is how long the record is kept at least, for the webhook that tells of the end; 0: there are none.
    """

    content_ms: int
    tombstone_ms: int
    webhook_ms: int = 0
    least_ms: int = 0  # of content, that a request may ask for
    most_ms: int = 0  # the same; 0: content_ms

    @property
    def longest_ms(self) -> int:
        """The longest that any content is kept after its job's end."""
        return max(self.content_ms, self.most_ms)

    def asked_ms(self, retention_s: float) -> int:
        """The time that a request asks for. Raises InvalidRequest for one that this deployment does not grant."""
        asked_ms = int(retention_s * 1000)
        if not self.least_ms <= asked_ms <= self.longest_ms:
            bounds = f"is from {self.least_ms / 1000:g} to {self.longest_ms / 1000:g} seconds here"
            raise InvalidRequest(Fault("retention_s", bounds))
        return asked_ms
