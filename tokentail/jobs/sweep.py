"""The sweep: finds every open job that no worker and no queue has, so that each job reaches its end.

A queued job that is not in the queue is put there; a running one whose holder is dead is taken from it; one that waited
or was tried too often is failed. Every worker and web process sweeps; they take turns.
"""

import logging
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tokentail.errors import JobGone, JobNotFound, LaterFormat, StoreFull, StoreUnavailable, Unreadable
from tokentail.jobs.abandonment import Abandonment
from tokentail.jobs.admission import Admission, Entered
from tokentail.jobs.fleet import Fleet, Observer
from tokentail.jobs.job import Failure, FailureKind, Job, Status
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.spending import NOTHING, Spent, spent_by
from tokentail.log.element import End
from tokentail.redis.store import Store
from tokentail.telemetry.log_lines import facts_of

log = logging.getLogger(__name__)

_CHUNK = 500  # records read in one round trip


@dataclass(frozen=True)
class SweepLimits:
    """What the sweep waits for before it acts."""

    max_losses: int  # how many workers one job may cost
    queue_timeout_s: float  # how long a job may wait for a worker
    longest_attempt_s: float = 3600.0  # how long one attempt may take, where its request asked for more time
    missing_after_s: float = 5.0  # how long an accepted job may be on its way to the queue
    never_made_after_s: float = 60.0  # how long a submission may take to make the job that it has entered
    period_s: float = 2.0


@dataclass
class SweepTotals:
    """What one process's sweeps have done since it began, for its metrics."""

    enqueued: int = 0  # jobs that were queued, and in no queue
    taken_back: int = 0  # jobs whose holder was gone, and that were queued again
    failed: int = 0  # jobs that waited or were lost too often
    lost_workers: int = 0
    abandoned: int = 0  # jobs that ended because no reader was left


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
        others: Sequence[Callable[[int], None]] = (),
    ) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._fleet = fleet
        self._observer = observer
        self._limits = limits
        self._now_ms = now_ms
        self._others = others  # what else is looked at in each sweep; each gets the time
        self.totals = SweepTotals()
        self._abandonment = Abandonment(store, admission, now_ms)
        self._refusal: StoreFull | StoreUnavailable | None = None  # of this sweep, the latest
        self._faulty: set[str] = set()  # jobs and clients that this sweep failed with
        self._told: set[str] = set()  # those that the one before failed with, which the log names

    def sweep_in_turn(self) -> None:
        """Sweep, if it is this process's turn. Raises StoreUnavailable, StoreFull; the next turn goes on.

        A process that finds a worker dead need not have the turn: the worker's jobs have waited for a whole lease.
        """
        self._abandonment.look_at_clock()
        self._look_at_suspects()
        if self._observer.dead or self._fleet.take_sweep_turn(int(self._limits.period_s * 1000)):
            self.sweep()
        self._abandonment.store_answered()

    def sweep(self) -> None:
        """Look at every open job once.

        Raises StoreUnavailable at once, or, of a node of a Cluster, in the end, as StoreFull: the rest is done.
        """
        self._refusal = None
        entered, open_jobs = self._admission.entered(), self._admission.open_jobs()
        if mark := self._store.rebuild_mark():
            with self._each_for_itself("indexes"):
                self._rebuild_indexes(mark, entered)
            entered, open_jobs = self._admission.entered(), self._admission.open_jobs()
        waiting = self._queue.waiting() if open_jobs else {}
        suspects = [(i, at) for i, at in open_jobs if self._may_be_forgotten(i, at, entered, waiting)]
        for at in range(0, len(suspects), _CHUNK):
            chunk = suspects[at : at + _CHUNK]
            for (job_id, entered_ms), job in zip(chunk, self._store.view_many([i for i, _ in chunk]), strict=True):
                with self._each_for_itself(job_id):
                    if isinstance(job, Job):
                        self._sweep_job(job_id, job, entered, waiting)
                    else:
                        self._sweep_unread(job_id, entered_ms, job, entered)
        for job_id, after_ms in self._abandonment.unread():
            with self._each_for_itself(job_id):
                self.totals.abandoned += self._abandonment.end(job_id, after_ms)
        for look in self._others:
            with self._each_for_itself(look.__qualname__):
                look(self._now_ms())
        for worker in self._observer.dead:
            self._fleet.leave(worker)  # none of its jobs is left
            self.totals.lost_workers += 1
        self._settle_accounts(entered, {job_id for job_id, _ in open_jobs})
        self._told, self._faulty = self._faulty, set()
        if self._refusal is not None:
            raise self._refusal

    @contextmanager
    def _each_for_itself(self, what: str) -> Iterator[None]:
        """Log a failure of one job or client. Other jobs must still reach their end, which frees memory."""
        try:
            yield
        except (StoreFull, StoreUnavailable) as error:
            if isinstance(error, StoreUnavailable) and not self._store.is_on_cluster:
                raise
            self._refusal = error  # on a Cluster a node is away; the jobs of the others go on
        except Unreadable:
            pass  # spoilt since it was viewed: the next sweep closes it
        except Exception as error:
            if what not in self._told:
                log.error("sweep.skipped", extra={"what": what, **facts_of(error)})
            self._faulty.add(what)

    def _rebuild_indexes(self, mark: bytes, entered: Entered) -> None:
        """After entries were lost: count every open job again, and list every job, by the records themselves."""
        waiting = self._queue.waiting()
        jobs, found = 0, list(self._store.job_ids())
        for at in range(0, len(found), _CHUNK):
            chunk = found[at : at + _CHUNK]
            self._store.index_webhooks(chunk)
            for job_id, job in zip(chunk, self._store.view_all(chunk), strict=True):
                if isinstance(job, Job) and _owner_of(job_id, entered) in {None, job.owner}:
                    jobs += 1
                    with self._each_for_itself(job_id):
                        self._store.list_for(job.owner, job_id, job.created_at_ms, job.user_digest)
                        if not job.status.is_closed:
                            self._adopt(job, waiting)
        self._store.note_rebuilt(mark)
        log.warning("index.rebuilt", extra={"jobs": jobs})

    def _adopt(self, job: Job, admitted: Container[str]) -> None:
        is_admitted = job.status is Status.RUNNING or job.id in admitted
        about = (job.owner, job.id, job.created_at_ms, job.user_digest)
        self._admission.adopt(*about, is_admitted=is_admitted)

    def _may_be_forgotten(self, job_id: str, entered_ms: int, entered: Entered, waiting: dict[str, int]) -> bool:
        """Whether the sweep must view the job: it neither is queued nor held out, or it has waited too long."""
        is_waiting = job_id in waiting or job_id in entered.held
        return not is_waiting or abs(self._age_s(entered_ms)) > self._limits.queue_timeout_s

    def _sweep_unread(self, job_id: str, entered_ms: int, error: Exception, entered: Entered) -> None:
        """Act on a job whose record could not be read."""
        age_s = abs(self._age_s(entered_ms))
        if isinstance(error, JobNotFound):
            # Entered before it was made. If it never was, a client saw an error and nobody waits for it.
            if age_s > self._limits.never_made_after_s:
                self._admission.leave(_owner_of(job_id, entered) or "", job_id)
        elif isinstance(error, JobGone):
            self._admission.leave(error.owner, job_id)
        elif isinstance(error, StoreUnavailable):
            self._refusal = error  # its node of a Cluster is away
        elif isinstance(error, LaterFormat):
            # Newer processes look after it; after all the time that a job may take, none of them is left.
            if age_s > self._limits.queue_timeout_s + self._limits.longest_attempt_s:
                self.close_spoilt(job_id, entered)
        elif isinstance(error, Unreadable):
            self.close_spoilt(job_id, entered)
        else:
            # What went wrong with one job must not keep the others from their end.
            log.error("job.unreadable", extra={"job_id": job_id, "error": type(error).__name__})

    def _sweep_job(self, job_id: str, job: Job, entered: Entered, waiting: dict[str, int]) -> None:
        if _owner_of(job_id, entered) not in {None, job.owner} or self._lacks_its_end(job):
            self.close_spoilt(job_id, entered)
        elif job.status.is_closed:
            if job.end is not None:
                self._admission.leave(job.owner, job_id, spent_by(job.end))
        elif job_id not in entered.admitted and job_id not in entered.held and self._is_overdue(job.created_at_ms):
            self._adopt(job, waiting)
        elif job.status is Status.RUNNING:
            if self._observer.is_lost(job.worker, job.attempt):
                self.take_back(job)
        elif self._age_s(job.queued_at_ms) > self._limits.queue_timeout_s:
            self._fail(job, Failure(FailureKind.TIMEOUT, "No worker took the job in time.", is_retryable=True))
        elif job_id not in waiting and job_id not in entered.held and self._is_overdue(job.queued_at_ms):
            self._enqueue(job)

    def _look_at_suspects(self) -> None:
        """Close the jobs that this process's reads found unreadable, though a sweep may see nothing wrong yet.

        A sweep does not look at a job that waits where it should or has ended, and never at the middle of a log. An
        ended job becomes a failed one, so that its readers receive an answer and its owner can delete it.
        """
        job_ids = list(self._store.suspects)
        if not job_ids:
            return
        entered, jobs = self._admission.entered(), self._store.view_many(job_ids)
        self._store.suspects.difference_update(job_ids)
        for job_id, job in zip(job_ids, jobs, strict=True):
            if isinstance(job, LaterFormat):
                continue  # a newer process looks after it
            with self._each_for_itself(job_id):
                if isinstance(job, Unreadable) or (isinstance(job, Job) and not self._store.survey(job_id).is_whole):
                    self.close_spoilt(job_id, entered)

    def close_spoilt(self, job_id: str, entered: Entered | None = None) -> None:
        """Bring a job of which a key cannot be read to its end, as failed. Raises StoreUnavailable, StoreFull."""
        owner = _owner_of(job_id, entered or self._admission.entered())
        failure = Failure(FailureKind.INTERNAL, "What Redis held of this job cannot be read.", is_retryable=True)
        if self._store.close_spoilt(job_id, owner, End(Status.FAILED, error=failure), self._now_ms()):
            self.totals.failed += 1
            log.error("job.failed", extra={"job_id": job_id, "owner": owner or "", "error": failure.message})
        self._admission.leave(owner or "", job_id, Spent(Status.FAILED))

    def _lacks_its_end(self, job: Job) -> bool:
        """Whether a job is closed by its record alone, and its writer had the time to put a lost `end` back (law 8)."""
        is_overdue = job.ended_at_ms is None or self._age_s(job.ended_at_ms) > self._limits.never_made_after_s
        return job.status.is_closed and job.end is None and is_overdue

    def _settle_accounts(self, entered: Entered, open_ids: set[str]) -> None:
        """Let clients' shares follow the workers' slots; forget what is counted and not open any more."""
        counted = entered.held | entered.admitted
        stale = [job_id for job_id in counted if job_id not in open_ids]
        ended: dict[str, dict[str, Spent]] = {owner: {} for owner in entered.held.values()}
        for job_id, job in zip(stale, self._store.view_many(stale), strict=True):
            if isinstance(job, Job) and not job.status.is_closed:
                with self._each_for_itself(job_id):
                    self._adopt(job, entered.admitted)  # the index had lost it
            elif isinstance(job, Unreadable) and not isinstance(job, LaterFormat):
                with self._each_for_itself(job_id):
                    self.close_spoilt(job_id, entered)
            elif isinstance(job, Job | JobGone | JobNotFound):
                ended.setdefault(counted[job_id], {})[job_id] = spent_by(job.end) if isinstance(job, Job) else NOTHING
        with self._each_for_itself("admitted"):
            self._admission.recount(entered)
        for owner, job_ids in ended.items():
            with self._each_for_itself(owner):
                self._admission.admit({owner: job_ids})

    def take_back(self, job: Job) -> None:
        """Take a job from a dead holder: put it into the queue again, or close it when it was lost too often."""
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
        if not enqueues:
            return  # it has moved on
        about = {"job_id": job.id, "owner": job.owner, "user": job.user_digest, "model": job.model}
        log.warning("job.requeued", extra={**about, "was": job.status, "worker": job.worker})
        if is_loss:
            self.totals.taken_back += 1
            self._queue.enqueue(job.id, enqueues)
        else:
            self.totals.enqueued += 1

    def _fail(self, job: Job, failure: Failure) -> None:
        end = End(Status.FAILED, error=failure)
        if self._store.close(job.id, end, self._now_ms(), holder=job.attempt):
            self.totals.failed += 1
            about = {"job_id": job.id, "owner": job.owner, "user": job.user_digest, "model": job.model}
            log.error("job.failed", extra={**about, "error": failure.message})
            self._admission.leave(job.owner, job.id, Spent(end.status))

    def _is_overdue(self, since_ms: int) -> bool:
        """Whether a job that was on its way to the queue since then should have arrived."""
        return self._age_s(since_ms) > self._limits.missing_after_s

    def _age_s(self, since_ms: int) -> float:
        return (self._now_ms() - since_ms) / 1000


def _owner_of(job_id: str, entered: Entered) -> str | None:
    """The client for whom an open job was counted; None for one that is not counted."""
    return entered.admitted.get(job_id, entered.held.get(job_id))
