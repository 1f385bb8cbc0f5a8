"""The filter: which of an owner's jobs a list is to show. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokentail.jobs.job import Job, Status


@dataclass(frozen=True)
class JobFilter:
    """What a job must be like to be on the list; what is left out admits every job."""

    user: str = ""  # the digest of a user's name
    status: Status | None = None
    model: str = ""  # a full name, or with a * at its end the beginning of one
    metadata: Mapping[str, str] = field(default_factory=dict)
    since_ms: int = 0  # when it was created at the earliest

    @property
    def fields(self) -> dict[str, str]:
        """What the record of every job on the list has; a value that ends in * is the beginning of one."""
        return {name: value for name, value in (("status", self.status), ("model", self.model)) if value}

    def admits(self, job: Job) -> bool:
        """Whether the job is on the list."""
        had = job.submitted.get("metadata") or {}
        return (
            (not self.user or self.user == job.user_digest)
            and self.status in {None, job.status}
            and self._is_of_model(job.model)
            and all(had.get(name) == value for name, value in self.metadata.items())
            and job.created_at_ms >= self.since_ms
        )

    def _is_of_model(self, model: str) -> bool:
        return model.startswith(self.model[:-1]) if self.model.endswith("*") else self.model in {"", model}


EVERY_JOB = JobFilter()
