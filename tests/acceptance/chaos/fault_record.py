"""One record: a fault that was done to the deployment, when, and what it allows to happen."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.acceptance.chaos.upstream import Call
from tokentail.redis.keys import idempotency_key

if TYPE_CHECKING:
    from tests.acceptance.chaos.faults import Fault


@dataclass
class FaultRecord:
    """Times are monotonic. Those of the tail are set only where a tail was lost."""

    fault: "Fault"
    began_at: float
    under_way: list[Call]  # the upstream's calls when it began
    ended_at: float | None = None
    copied_at: float | None = None  # Valkey was put back to what it had then
    killed_at: float | None = None
    restored_at: float | None = None
    spoilt: list[str] = field(default_factory=list)  # keys on which garbage was planted
    notes: list[str] = field(default_factory=list)  # what was done, in words

    def is_during(self, since: float, until: float) -> bool:
        """Whether it may have touched something that lived so long. What it broke may show a little later."""
        return self.began_at <= until and (self.ended_at is None or self.ended_at + _AFTERMATH_S >= since)

    def has_spoilt(self, job_id: str) -> bool:
        """Whether garbage was planted on one of the job's own keys."""
        return any(f"{{{job_id}}}" in key for key in self.spoilt)

    def has_spoilt_binding(self, key: str) -> bool:
        """Whether garbage was planted on this Idempotency-Key, which then may be bound to another job."""
        return idempotency_key("", key) in self.spoilt

    @property
    def is_forgetting(self) -> bool:
        """A tail is being lost at this moment: nobody knows yet what Valkey will remember."""
        return self.copied_at is not None and self.restored_at is None

    def may_have_forgotten(self, since: float, until: float) -> bool:
        """Whether what was written to Valkey at some moment between these two may be lost."""
        if self.copied_at is None:
            return False
        return until > self.copied_at and (self.killed_at is None or since < self.killed_at)


_AFTERMATH_S = 15.0  # a cut connection may cost a job its last retry this much later
