"""Submitting: from a validated request to a job that a worker will take.

It crosses slots and perhaps servers, so each step can be repeated, and a duplicate repeats them all. Once the record is
written the job is accepted: whatever is missing after that, the sweep puts right. Each step is one round trip: is there
an earlier job for this request, is there room for a new one, and making it (`tokentail/jobs/making.py`).
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from tokentail.errors import (
    IdempotencyConflict,
    JobGone,
    JobNotFound,
    NotReplicated,
    StoreFull,
    StoreUnavailable,
    Unreadable,
)
from tokentail.jobs.admission import Admission
from tokentail.jobs.api_key import NO_LIMITS, UNLIMITED, Allowance, KeyLimits
from tokentail.jobs.job import Job, NewJob, Status
from tokentail.jobs.making import AddNotes, Made, Maker
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.request import GenerationRequest, digest, encode_request
from tokentail.jobs.user import user_digest
from tokentail.redis import admission_scripts, scripts
from tokentail.redis.repeats import Question
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.store import Store

log = logging.getLogger(__name__)

_ABANDON_AFTER_S = 60.0  # of a request that names no time
_KEY_TTL_MS = 24 * 3600 * 1000  # how long an Idempotency-Key is remembered


@dataclass(frozen=True)
class Submission:
    """What became of a request: `is_new` is False when an earlier one with the same key made the job."""

    job_id: str
    is_new: bool
    allowance: Allowance = UNLIMITED  # what is left of the limits of the owner's key, where this was counted
    job: Job | None = None  # as it was right after; None where it was not read
    waiting: int | None = None  # jobs in the queue up to this one, where it was just put in
    is_held: bool = False  # it waits outside the queue, for its owner has used up its share
    is_repeat: bool = False  # the job is that of an earlier question, which this one repeats


@dataclass(frozen=True)
class _Earlier:
    """The id that the job has, and the submission if nothing is left to do."""

    job_id: str
    submission: Submission | None = None


class Submitter:
    """Turns requests into queued jobs."""

    def __init__(
        self, store: Store, queue: JobQueue, admission: Admission, now_ms: Callable[[], int], replica_ms: int = 0
    ) -> None:
        """With `replica_ms`, a job is accepted only once one replica of Redis has it within that time."""
        self._store = store
        self._queue = queue
        self._admission = admission
        self._maker = Maker(store, queue, replica_ms)
        self._now_ms = now_ms

    def submit(
        self,
        owner: str,
        request: GenerationRequest,
        model: str,
        key: str | None,
        limits: KeyLimits = NO_LIMITS,
        trace: str = "",
        question: Question | None = None,
        notes: AddNotes | None = None,
    ) -> Submission:
        """Accept `request` for `model`, a full name, within the limits of the owner's API key.

        `trace` is the `traceparent` of what the job does. `question` finds the job that a repeat without a key means;
        `notes` are made with the job.

        Raises InvalidRequest (retention_s), IdempotencyConflict, TooManyJobs, LimitReached, JobGone (the key's job),
        NotReplicated, StoreUnavailable, StoreFull.
        """
        now_ms = self._now_ms()
        retention_ms = self._store.retention.asked_ms(request.retention_s) if request.retention_s else None
        earlier = self._earlier(owner, request, key, question, notes)
        if earlier.submission:
            return earlier.submission
        job_id = earlier.job_id
        metadata = {} if request.metadata is UNSET else request.metadata
        job = NewJob(job_id, owner, model, now_ms, metadata, request.user or "", retention_ms, trace)
        entry = self._admission.enter(owner, job_id, now_ms, limits, user_digest(owner, job.user))
        abandon_after_ms = None
        if request.on_abandon is not UNSET:
            abandon_after_ms = int((request.abandon_after_s or _ABANDON_AFTER_S) * 1000)
        try:
            made = self._maker.make(
                job,
                encode_request(replace(request, model=model)),
                is_admitted=entry.is_admitted,
                abandon_after_ms=abandon_after_ms,
                notes=_both(notes, question.note if question else None),
            )
        except StoreFull:
            # Nothing was made, and without a key nobody else makes it. (An outage tells neither: the sweep finds out.)
            if key is None:
                with contextlib.suppress(StoreUnavailable, StoreFull, Unreadable):
                    self._admission.leave(owner, job_id)
            raise
        self._require_whole(job, made, key)
        return Submission(job_id, made.is_new, entry.allowance, made.job, made.waiting, not entry.is_admitted)

    def _earlier(
        self,
        owner: str,
        request: GenerationRequest,
        key: str | None,
        question: Question | None,
        notes: AddNotes | None,
    ) -> _Earlier:
        """The earlier job that the key or the question stands for, if there is one, else the id of a new job."""
        own_id = self._store.new_id()
        if key is None and question is None:
            return _Earlier(own_id)
        trip = RoundTrip(self._store.client)
        if question:
            question.look(trip)
        asked = digest(request)  # of what the client sent, whatever the default model is today
        bound = self._store.remember_in(trip, owner, key, own_id, asked, _KEY_TTL_MS) if key is not None else None
        trip.send()
        job_id = own_id if bound is None else _accepted(*bound(), asked)
        repeated_id = question.repeated() if question else None
        repeated = self._repeated(owner, repeated_id, notes) if repeated_id else None
        if repeated:
            if job_id == own_id and key is not None:  # the key is new, and stands for the repeated job from now on
                trip = RoundTrip(self._store.client)
                bound = self._store.remember_in(trip, owner, key, repeated.id, asked, _KEY_TTL_MS, instead_of=own_id)
                trip.send()
                job_id = _accepted(*bound(), asked)
            if job_id in {own_id, repeated.id}:
                return _Earlier(repeated.id, Submission(repeated.id, False, job=repeated, is_repeat=True))
        if job_id == own_id:
            return _Earlier(job_id)
        # The question keeps leading to its newest job, also for a key that stands for an earlier one.
        more = _both(notes, question.note if question and not repeated else None)
        return _Earlier(job_id, self._settled(owner, job_id, more))

    def _repeated(self, owner: str, job_id: str, notes: AddNotes | None) -> Job | None:
        """The job that a question repeats; None where a new one must answer it. Raises NotReplicated."""
        trip = RoundTrip(self._store.client)
        viewed = trip.call(scripts.view(job_id))
        replicated = self._wait_for_replica(trip, job_id)
        if notes:
            notes(trip, job_id)
        trip.send()
        try:
            with self._store.noting():
                job = viewed.get()
        except (JobNotFound, JobGone):
            return None
        if job.owner != owner or job.status is Status.CANCELLED:
            return None
        if replicated and not replicated.get():
            raise _not_replicated(job_id)
        return job

    def _settled(self, owner: str, job_id: str, notes: AddNotes | None) -> Submission | None:
        """The job of an earlier submission with the same key; None where that submission may have been cut short.

        Raises JobGone, NotReplicated.
        """
        trip = RoundTrip(self._store.client)
        viewed = trip.call(scripts.view(job_id))
        replicated = self._wait_for_replica(trip, job_id)
        admitted, held = admission_scripts.counted_in(trip, owner, job_id)
        if notes:
            notes(trip, job_id)
        trip.send()
        try:
            with self._store.noting():
                job = viewed.get()
        except JobNotFound:
            return None
        if replicated and not replicated.get():
            raise _not_replicated(job_id)
        if job.started_at_ms is not None or job.status.is_closed:
            return Submission(job_id, is_new=False, job=job)
        try:
            is_admitted, is_held = admitted.get(), held.get()
        except Unreadable:
            return None  # an index that is mended when the job is counted again
        if is_held is not None:
            return Submission(job_id, is_new=False, job=job, is_held=True)
        if not is_admitted:
            return None
        waiting = None
        with contextlib.suppress(StoreUnavailable, StoreFull, Unreadable):
            waiting = self._queue.enqueue(job_id, job.enqueues)  # once, should an earlier try have got through
        return Submission(job_id, is_new=False, job=job, waiting=waiting)

    def _wait_for_replica(self, trip: RoundTrip, job_id: str) -> Outcome[bool] | None:
        """Whether a replica has the job of an earlier submission; None where submissions do not wait for that."""
        return trip.wait_for_replica(job_id, self._maker.replica_ms) if self._maker.replica_ms else None

    def _require_whole(self, job: NewJob, made: Made, key: str | None) -> None:
        """Raises what kept the job off a list, and NotReplicated for a job that the primary alone has.

        A job that is on no list is erased. One that is not replicated goes on where a key leads to it: the client that
        sends its request again finds it. Without a key nobody could.
        """
        if made.fault is None and made.is_replicated:
            return
        if made.fault or key is None:
            with contextlib.suppress(StoreUnavailable, StoreFull, Unreadable):
                self._store.delete_many([job.id], self._now_ms(), with_tombstones=True)
                self._admission.leave(job.owner, job.id)
                self._queue.discard(job.id, 1)
        raise made.fault or _not_replicated(job.id)


def _accepted(first_id: str, bound: str, asked: str) -> str:
    """The job for which a key stands. Raises IdempotencyConflict if it stands for another request's job."""
    if bound != asked:
        raise IdempotencyConflict(IdempotencyConflict.__doc__)
    return first_id


def _not_replicated(job_id: str) -> NotReplicated:
    log.warning("job.not_replicated", extra={"job_id": job_id})
    return NotReplicated(NotReplicated.__doc__)


def _both(first: AddNotes | None, second: AddNotes | None) -> AddNotes | None:
    if first is None or second is None:
        return first or second
    return lambda trip, job_id: [*first(trip, job_id), *second(trip, job_id)]
