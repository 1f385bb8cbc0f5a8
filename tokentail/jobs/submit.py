"""Submitting: from a validated request to a job that a worker will take.

It crosses slots and perhaps servers, so each step can be repeated, and a duplicate repeats them all. Once the record is
written the job is accepted: whatever is missing after that, the sweep puts right.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from tokentail.errors import IdempotencyConflict, JobNotFound, StoreFull, StoreUnavailable, Unreadable
from tokentail.identifiers import new_job_id
from tokentail.jobs.admission import Admission
from tokentail.jobs.api_key import NO_LIMITS, UNLIMITED, Allowance, KeyLimits
from tokentail.jobs.job import NewJob
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.request import GenerationRequest, digest, encode_request
from tokentail.jobs.user import user_digest
from tokentail.redis.store import Store

_ABANDON_AFTER_S = 60.0  # of a request that names no time
_KEY_TTL_MS = 24 * 3600 * 1000  # how long an Idempotency-Key is remembered


@dataclass(frozen=True)
class Submission:
    """What became of a request: `is_new` is False when an earlier one with the same key made the job."""

    job_id: str
    is_new: bool
    allowance: Allowance = UNLIMITED  # what is left of the limits of the owner's key, where this was counted


class Submitter:
    """Turns requests into queued jobs."""

    def __init__(self, store: Store, queue: JobQueue, admission: Admission, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._now_ms = now_ms

    def submit(
        self,
        owner: str,
        request: GenerationRequest,
        model: str,
        key: str | None,
        limits: KeyLimits = NO_LIMITS,
        trace: str = "",
    ) -> Submission:
        """Accept `request` for `model`, a full name, within the limits of the owner's API key.

        `trace` is the `traceparent` of what the job does.

        Raises InvalidRequest (retention_s), IdempotencyConflict, TooManyJobs, LimitReached, JobGone (the key's job),
        StoreUnavailable, StoreFull.
        """
        now_ms = self._now_ms()
        retention_ms = self._store.retention.asked_ms(request.retention_s) if request.retention_s else None
        job_id = own_id = new_job_id()
        if key is not None:
            job_id = self.bind(owner, request, key, own_id)
            if job_id != own_id and self._has_started(job_id):
                return Submission(job_id, is_new=False)
        metadata = {} if request.metadata is UNSET else request.metadata
        job = NewJob(job_id, owner, model, now_ms, metadata, request.user or "", retention_ms, trace)
        user = user_digest(owner, job.user)
        entry = self._admission.enter(owner, job_id, now_ms, limits, user)
        try:
            self._store.list_for(owner, job_id, now_ms, user)
            if request.on_abandon is not UNSET:
                self._store.watch_readers(job_id, int((request.abandon_after_s or _ABANDON_AFTER_S) * 1000), now_ms)
            is_new = self._store.create(job, encode_request(replace(request, model=model)))
        except StoreFull:
            # Nothing was made, and without a key nobody else makes it. (An outage tells neither: the sweep finds out.)
            if key is None:
                with contextlib.suppress(StoreUnavailable, StoreFull, Unreadable):
                    self._admission.leave(owner, job_id)
            raise
        if entry.is_admitted:
            # It is accepted all the same where this fails: the sweep enqueues it.
            with contextlib.suppress(StoreUnavailable, StoreFull, Unreadable):
                self._queue.enqueue(job_id, 1)
        return Submission(job_id, is_new, entry.allowance)

    def bind(self, owner: str, request: GenerationRequest, key: str, job_id: str) -> str:
        """Have the key stand for this job, if it is new; the job for which it stands.

        Raises IdempotencyConflict if it stands for another request's job, StoreUnavailable, StoreFull.
        """
        asked = digest(request)  # of what the client sent, whatever the default model is today
        first_id, bound = self._store.remember(owner, key, job_id, asked, _KEY_TTL_MS)
        if bound != asked:
            raise IdempotencyConflict(IdempotencyConflict.__doc__)
        return first_id

    def _has_started(self, job_id: str) -> bool:
        """Whether a job of an earlier submission has left the queue, so that nothing of it can be missing."""
        try:
            job = self._store.view(job_id)
        except JobNotFound:
            return False
        return job.started_at_ms is not None or job.status.is_closed
