"""Erasure: all that is kept of an owner's jobs, or of those of one of its users, in bounded steps.

Each step can be repeated, and one that was cut off is made up by the next: a job leaves a list only after its content
is erased. Jobs that are submitted meanwhile may stay.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tokentail.errors import JobGone, LaterFormat, StoreFull, StoreUnavailable, Unreadable
from tokentail.jobs.admission import Admission
from tokentail.jobs.job import Failure, FailureKind, Job, Status
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.spending import NOTHING, Spent, spent_by, spent_if_stopped
from tokentail.jobs.user import user_digest
from tokentail.log.element import End
from tokentail.redis.store import Store

log = logging.getLogger(__name__)

_CHUNK = 200  # jobs in one round trip
_STEP = 1000  # jobs that one step looks at


@dataclass(frozen=True)
class Erased:
    """What one step has done."""

    deleted: int  # jobs, those among them that were open included
    cancelled: int  # jobs that were open
    is_done: bool  # no job is left that this can erase


class Erasure:
    """Erases jobs by the lists that they are on. Its methods raise StoreUnavailable."""

    def __init__(self, store: Store, queue: JobQueue, admission: Admission, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._now_ms = now_ms

    def erase(self, owner: str, user: str = "", *, with_tombstones: bool = False) -> Erased:
        """Erase the newest jobs of the owner, or of its user of this name; running ones are cancelled.

        With tombstones, nothing is left that says that the jobs existed.
        """
        digest = user_digest(owner, user)
        deleted = cancelled = 0
        older_than: str | None = None
        for _ in range(_STEP // _CHUNK):
            listed = self._store.listed(owner, digest, older_than, _CHUNK)
            jobs = self._of_owner(owner, [job_id for job_id, _ in listed])
            spent = {job_id: self._spent(job) for job_id, job in jobs.items() if _is_open(job)}
            outcomes = self._store.delete_many(list(jobs), self._now_ms(), with_tombstones=with_tombstones)
            gone = [job_id for job_id, is_deleted in zip(jobs, outcomes, strict=True) if is_deleted is True]
            deleted += len(gone)
            cancelled += self._tidy(owner, [jobs[job_id] for job_id in gone], spent)
            if failed := next((each for each in outcomes if isinstance(each, StoreUnavailable)), None):
                raise failed
            if len(listed) < _CHUNK:
                return self._told(Erased(deleted, cancelled, is_done=True), digest)
            last, created_ms = listed[-1]
            older_than = f"{last}.{created_ms}"
        return self._told(Erased(deleted, cancelled, is_done=False), digest)

    def _of_owner(self, owner: str, job_ids: Sequence[str]) -> dict[str, Job | JobGone]:
        """The jobs of this list that are the owner's and can be erased, tombstones among them."""
        found: dict[str, Job | JobGone] = {}
        for job_id, viewed in zip(job_ids, self._store.view_all(job_ids), strict=True):
            is_spoilt = isinstance(viewed, Unreadable) and not isinstance(viewed, LaterFormat)
            job = self._made_readable(job_id) if is_spoilt else viewed
            if isinstance(job, Job | JobGone) and job.owner == owner:
                found[job_id] = job
        return found

    def _made_readable(self, job_id: str) -> Job | JobGone:
        """The job, closed as failed. What another program has spoilt must be erased all the same."""
        end = End(Status.FAILED, error=Failure(FailureKind.INTERNAL, "What Redis held of this job cannot be read."))
        self._store.close_spoilt(job_id, None, end, self._now_ms())
        try:
            return self._store.view(job_id)
        except JobGone as gone:
            return gone

    def _spent(self, job: Job | JobGone) -> Spent:
        """What an open job costs its owner that is erased now."""
        return spent_if_stopped(self._store.usage_so_far(job.id)) if isinstance(job, Job) else NOTHING

    def _tidy(self, owner: str, jobs: Sequence[Job | JobGone], spent: Mapping[str, Spent]) -> int:
        """Take the jobs out of indexes and queue; how many were open. What fails here, the sweep repeats."""
        had_content = [job for job in jobs if isinstance(job, Job)]
        if had_content:
            with suppress(StoreUnavailable, StoreFull, Unreadable):
                # Jobs that ended just now may be counted still, with their users.
                self._admission.admit({owner: {job.id: spent.get(job.id, spent_by(job.end)) for job in had_content}})
                for job in had_content:
                    if job.status is Status.QUEUED:
                        self._queue.discard(job.id, job.enqueues)
        return sum(map(_is_open, had_content))

    def _told(self, erased: Erased, digest: str) -> Erased:
        facts = {"user": digest, "deleted": erased.deleted, "cancelled": erased.cancelled, "done": erased.is_done}
        log.info("jobs.erased", extra=facts)
        return erased


def _is_open(job: Job | JobGone) -> bool:
    return isinstance(job, Job) and not job.status.is_closed
