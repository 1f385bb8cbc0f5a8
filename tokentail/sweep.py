"""The sweep: what finds every open job that nobody looks after, so that each reaches its end.

A queued job that is not in the queue is put there; a running one whose holder is dead is taken from it; one that waited
or was tried too often is failed. Every worker and web process sweeps; they take turns.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tokentail.admission import Admission, Entered
from tokentail.element import End
from tokentail.errors import JobGone, JobNotFound, StoreFull, StoreUnavailable
from tokentail.fleet import Fleet, Observer
from tokentail.job import Failure, FailureKind, Job, Status
from tokentail.queue import JobQueue
from tokentail.store import Store

log = logging.getLogger(__name__)

_CHUNK = 500  # records read in one round trip


@dataclass(frozen=True)
class SweepLimits:
    """What the sweep waits for before it acts."""

    max_losses: int  # how many workers one job may cost
    queue_timeout_s: float  # how long a job may wait for a worker
    missing_after_s: float = 5.0  # how long an accepted job may be on its way to the queue
    never_made_after_s: float = 60.0  # how long a submission may take to make the job that it has entered
    period_s: float = 2.0


@dataclass
class SweepTotals:
    """What one process's sweeps have done since it began, for whoever watches."""

    enqueued: int = 0  # jobs that were queued, and in no queue
    taken_back: int = 0  # jobs whose holder was gone, and that were queued again
    failed: int = 0  # jobs that waited or were lost too often
    lost_workers: int = 0


class Sweeper:
    """One process's part in the sweep."""

    def __init__(
        self,
        store: Store,
        queue: JobQueue,
        admission: Admission,
        fleet: Fleet,
        observer: Observer,
        limits: SweepLimits,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._fleet = fleet
        self._observer = observer
        self._limits = limits
        self._now_ms = now_ms
        self.totals = SweepTotals()
        self._refusal: StoreFull | None = None  # of this sweep, the latest

    def sweep_in_turn(self) -> None:
        """Sweep, if it is this process's turn. Raises StoreUnavailable, StoreFull; the next turn goes on.

        Whoever finds a worker dead takes no turn: its jobs have waited for a whole lease.
        """
        if self._observer.dead or self._fleet.take_sweep_turn(int(self._limits.period_s * 1000)):
            self.sweep()

    def sweep(self) -> None:
        """Look at every open job once.

        Raises StoreUnavailable at once, StoreFull in the end: what needs no memory is done all the same.
        """
        self._refusal = None
        entered = self._admission.entered()
        open_jobs = self._admission.open_jobs()
        waiting = self._queue.waiting() if open_jobs else {}
        suspects = [(i, at) for i, at in open_jobs if self._may_be_forgotten(i, at, entered, waiting)]
        for at in range(0, len(suspects), _CHUNK):
            chunk = suspects[at : at + _CHUNK]
            for (job_id, entered_ms), job in zip(chunk, self._store.view_many([i for i, _ in chunk]), strict=True):
                with self._each_for_itself():
                    self._sweep_job(job_id, entered_ms, job, entered, waiting)
        for worker in self._observer.dead:
            self._fleet.leave(worker)  # none of its jobs is left
            self.totals.lost_workers += 1
        self._settle_accounts(entered, {job_id for job_id, _ in open_jobs})
        if self._refusal is not None:
            raise self._refusal

    @contextmanager
    def _each_for_itself(self) -> Iterator[None]:
        """What a full Redis refuses one job must not keep others from their end, which is what frees memory."""
        try:
            yield
        except StoreFull as error:
            self._refusal = error

    def _may_be_forgotten(self, job_id: str, entered_ms: int, entered: Entered, waiting: dict[str, int]) -> bool:
        """Not so are jobs that wait where they should, and not for too long."""
        is_waiting = job_id in waiting or job_id in entered.held
        return not is_waiting or self._age_s(entered_ms) > self._limits.queue_timeout_s

    def _sweep_job(
        self, job_id: str, entered_ms: int, job: Job | Exception, entered: Entered, waiting: dict[str, int]
    ) -> None:
        owner = entered.admitted.get(job_id) or entered.held.get(job_id) or ""
        if isinstance(job, JobNotFound):
            # Entered before it was made. If it never was, a client saw an error and nobody waits for it.
            if self._age_s(entered_ms) > self._limits.never_made_after_s:
                self._admission.leave(owner, job_id)
        elif isinstance(job, JobGone):
            self._admission.leave(job.owner, job_id)
        elif isinstance(job, StoreUnavailable):
            raise job
        elif isinstance(job, Exception):
            # A record that this version cannot read must not keep the others from their end.
            log.error("job.unreadable", extra={"job_id": job_id, "error": type(job).__name__})
        elif job.status.is_closed:
            self._admission.leave(job.owner, job_id)
        elif job_id not in entered.admitted and job_id not in entered.held and self._is_overdue(job.created_at_ms):
            self._admission.adopt(job.owner, job_id, job.created_at_ms)
        elif job.status is Status.RUNNING:
            if self._observer.is_lost(job.worker, job.attempt):
                self.take_back(job)
        elif self._age_s(job.queued_at_ms) > self._limits.queue_timeout_s:
            self._fail(job, Failure(FailureKind.TIMEOUT, "No worker took the job in time.", is_retryable=True))
        elif job_id not in waiting and job_id not in entered.held and self._is_overdue(job.queued_at_ms):
            self._enqueue(job)

    def _settle_accounts(self, entered: Entered, open_ids: set[str]) -> None:
        """Let clients' shares follow the workers' slots; forget what is counted and not open any more."""
        counted = entered.held | entered.admitted
        stale = [job_id for job_id in counted if job_id not in open_ids]
        ended: dict[str, list[str]] = {owner: [] for owner in entered.held.values()}
        for job_id, job in zip(stale, self._store.view_many(stale), strict=True):
            if isinstance(job, Job) and not job.status.is_closed:
                with self._each_for_itself():
                    self._admission.adopt(job.owner, job_id, job.created_at_ms)  # the index had lost it
            elif isinstance(job, Job | JobGone | JobNotFound):
                ended.setdefault(counted[job_id], []).append(job_id)
        for owner, job_ids in ended.items():
            with self._each_for_itself():
                self._admission.admit(owner, job_ids)

    def take_back(self, job: Job) -> None:
        """Take a job from a holder that is gone: to the queue again, or to its end when that was tried too often."""
        losses = job.losses + 1
        if losses >= self._limits.max_losses:
            message = f"The worker was lost {losses} times while it ran this job."
            self._fail(job, Failure(FailureKind.INTERNAL, message, is_retryable=True))
        else:
            self._enqueue(job)

    def _enqueue(self, job: Job) -> None:
        is_loss = job.status is Status.RUNNING
        if not is_loss:
            # A queue that refuses it again and again must not count. (In there twice it is still claimed once.)
            self._queue.enqueue(job.id, job.enqueues + 1)
        enqueues = self._store.requeue(job.id, job.attempt, job.enqueues, self._now_ms(), is_loss=is_loss)
        if enqueues:
            if is_loss:
                self.totals.taken_back += 1
            else:
                self.totals.enqueued += 1
            log.warning("job.requeued", extra={"job_id": job.id, "was": job.status, "worker": job.worker})
        if enqueues and is_loss:
            self._queue.enqueue(job.id, enqueues)

    def _fail(self, job: Job, failure: Failure) -> None:
        end = End(Status.FAILED, error=failure)
        if self._store.close(job.id, end, self._now_ms(), holder=job.attempt):
            self.totals.failed += 1
            log.error("job.failed", extra={"job_id": job.id, "error": failure.message})
            self._admission.leave(job.owner, job.id)

    def _is_overdue(self, since_ms: int) -> bool:
        """Whether who was on the way to the queue since then should have come there."""
        return self._age_s(since_ms) > self._limits.missing_after_s

    def _age_s(self, since_ms: int) -> float:
        return (self._now_ms() - since_ms) / 1000
