"""Making: what one round trip does for a job that was counted. The job is listed, made, put into the queue and read.

The calls are in this order. So a trip that breaks off may leave a job without its enqueue, which the sweep makes up
for, or an entry of a list without its job, and never a job that is on no list or an enqueue without a job.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tokentail.errors import StoreFull, StoreUnavailable, TokentailError, Unreadable
from tokentail.jobs.job import Job, NewJob
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.user import user_digest
from tokentail.redis import scripts
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.store import Store

# Adds further calls to the round trip that makes a job, such as a record that leads to it. They may fail.
AddNotes = Callable[[RoundTrip, str], Sequence[Outcome[object]]]


@dataclass(frozen=True)
class Made:
    """A job that is there now."""

    is_new: bool
    fault: TokentailError | None  # why the job is not on each list that it belongs on
    is_replicated: bool  # one replica has it; True where nobody asked
    job: Job | None  # as it was right after; None where it could not be read
    waiting: int | None  # jobs in the queue up to and with this one; None where it was not put in


class Maker:
    """Makes jobs. With `replica_ms`, a job counts as replicated only once a replica has it within that time."""

    def __init__(self, store: Store, queue: JobQueue, replica_ms: int = 0) -> None:
        self._store = store
        self._queue = queue
        self.replica_ms = replica_ms

    def make(
        self,
        job: NewJob,
        request: bytes,
        *,
        is_admitted: bool,
        abandon_after_ms: int | None = None,
        notes: AddNotes | None = None,
    ) -> Made:
        """Make the job, and put it into the queue if it `is_admitted`. Can be repeated.

        Raises StoreUnavailable; StoreFull, after which there is no such job; Unreadable.
        """
        user = user_digest(job.owner, job.user)
        is_in_trip = is_admitted and self._queue.is_on(self._store.client)
        is_new = False

        def make() -> Made:
            nonlocal is_new
            trip = RoundTrip(self._store.client)
            settle_lists = self._store.put_on_lists(trip, job.owner, job.id, job.created_at_ms, user)
            watched = None
            if abandon_after_ms is not None:
                watched = self._store.watch_readers(trip, job.id, abandon_after_ms, job.created_at_ms)
            created = trip.call(scripts.create(job, request))
            noted = notes(trip, job.id) if notes else ()
            enqueued = self._queue.put(trip, job.id, 1) if is_in_trip else None
            viewed = trip.call(scripts.view(job.id))
            replicated = trip.wait_for_replica(job.id, self.replica_ms) if self.replica_ms else None
            trip.send()
            is_new = created.get() or is_new
            fault: TokentailError | None = None
            try:
                settle_lists()
                if watched:
                    watched.get()
            except (StoreFull, StoreUnavailable) as error:
                fault = error
            for note in noted:
                with suppress(StoreUnavailable, StoreFull, Unreadable):
                    note.get()
            waiting = self._waiting(job.id, enqueued) if is_admitted else None
            return Made(is_new, fault, replicated is None or replicated.get(), _job(viewed), waiting)

        def with_lists() -> Made:
            return self._store.with_lists(job.owner, user, make)

        return with_lists() if abandon_after_ms is None else self._store.with_marks(with_lists)

    def _waiting(self, job_id: str, enqueued: Outcome[int] | None) -> int | None:
        """How many jobs wait with this one. None where the queue did not take it: then the sweep puts it in."""
        with suppress(StoreUnavailable, StoreFull, Unreadable):
            try:
                return enqueued.get() if enqueued else self._queue.enqueue(job_id, 1)
            except Unreadable:
                return self._queue.enqueue(job_id, 1)  # which mends the queue
        return None


def _job(viewed: Outcome[Job]) -> Job | None:
    try:
        return viewed.get()
    except TokentailError:
        return None
