"""Admission: how many jobs may be open, and which of them may be in the queue.

The queue is first come, first served, so a client's thousand jobs would hold up everybody's. What exceeds a client's
share of the workers' slots is held out of it, and enters when one of the client's own jobs ends.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokentail import commands
from tokentail.errors import StoreFull, StoreUnavailable, TooManyJobs
from tokentail.fleet import Observer
from tokentail.queue import JobQueue
from tokentail.store import Store, redis_errors

log = logging.getLogger(__name__)

_UNLIMITED = 1_000_000_000
_LEAST_RETRY_S, _MOST_RETRY_S = 1, 60
_UNKNOWN_RETRY_S = 30  # nothing has ended lately, so nobody can say


@dataclass(frozen=True)
class AdmissionLimits:
    """What a deployment takes."""

    most_open: int  # open jobs in all
    most_of_client: int  # open jobs of one client
    share: float  # of the workers' slots, that one client may take; 0 to 1


@dataclass(frozen=True)
class Entered:
    """The open jobs that were counted, each with its client."""

    held: dict[str, str]  # not in the queue yet, oldest first
    admitted: dict[str, str]


class Admission:
    """Counts open jobs in and out. A client is an owner; where no API keys are set there is one, which has it all."""

    def __init__(self, store: Store, queue: JobQueue, observer: Observer, limits: AdmissionLimits) -> None:
        self._store = store
        self._queue = queue
        self._observer = observer
        self._limits = limits

    def enter(self, owner: str, job_id: str, now_ms: int) -> bool:
        """Count an open job; whether it may be in the queue now. Raises TooManyJobs, StoreUnavailable, StoreFull."""
        limits = self._limits
        command = commands.enter(owner, job_id, now_ms, limits.most_open, limits.most_of_client, self._share_of(owner))
        verdict, *admitted = self._store.run(command)
        if verdict == b"full":
            raise TooManyJobs(f"{limits.most_open} jobs are open here, which is the limit.", self._retry_after_s(1.0))
        if verdict == b"client":
            # Its jobs end at its own part of the pace.
            held = sum(len(lease.attempts) for lease in self._observer.live.values())
            retry_after_s = self._retry_after_s(min(admitted[0] / held, 1.0) if held else 1.0)
            raise TooManyJobs(f"{limits.most_of_client} of your jobs are open, which is the limit.", retry_after_s)
        return bool(verdict == b"admitted")

    def leave(self, owner: str, job_id: str) -> None:
        """A job has ended: another of its owner may enter the queue. Raises StoreUnavailable, StoreFull."""
        self.admit(owner, [job_id])

    def admit(self, owner: str, ended: Sequence[str] = ()) -> None:
        """Put into the queue what may enter it now. Raises StoreUnavailable, StoreFull."""
        for job_id in self._store.run(commands.admit(owner, self._share_of(owner), ended)):
            try:
                self._queue.enqueue(job_id, 1)
            except (StoreUnavailable, StoreFull):
                log.warning("job.not_enqueued", extra={"job_id": job_id})  # the sweep finds it missing

    def entered(self) -> Entered:
        """All that were counted."""
        client = self._store.client
        with redis_errors():
            owners = sorted(owner.decode() for owner in client.smembers(commands.OPEN_CLIENTS))
            pipe = client.pipeline(transaction=False)
            for owner in owners:
                pipe.zrange(commands.held_jobs(owner), 0, -1)
                pipe.smembers(commands.admitted_jobs(owner))
            replies = iter(pipe.execute())
        entered = Entered({}, {})
        for owner in owners:
            entered.held.update((job_id.decode(), owner) for job_id in next(replies))
            entered.admitted.update((job_id.decode(), owner) for job_id in next(replies))
        return entered

    def adopt(self, owner: str, job_id: str, created_at_ms: int) -> None:
        """Count a job that is under way but was forgotten; no limit holds for it."""
        with redis_errors():
            pipe = self._store.client.pipeline(transaction=False)
            pipe.zadd(commands.OPEN_JOBS, {job_id: created_at_ms})
            pipe.sadd(commands.OPEN_CLIENTS, owner)
            pipe.sadd(commands.admitted_jobs(owner), job_id)
            pipe.execute()

    def open_jobs(self) -> list[tuple[str, int]]:
        """Ids of the open jobs, with their creation time (Unix ms), oldest first."""
        with redis_errors():
            pairs = self._store.client.zrange(commands.OPEN_JOBS, 0, -1, withscores=True)
        return [(job_id.decode(), int(at)) for job_id, at in pairs]

    def open_count(self) -> int:
        """How many jobs are open."""
        with redis_errors():
            return int(self._store.client.zcard(commands.OPEN_JOBS))

    def _share_of(self, owner: str) -> int:
        """How many of the owner's jobs may be in the queue or run."""
        if not owner:
            return _UNLIMITED
        slots = sum(lease.slots for lease in self._observer.live.values())
        return max(int(slots * self._limits.share), 1)

    def _retry_after_s(self, part: float) -> int:
        """Seconds until a job is likely to have ended, of those that make up this part of all."""
        pace = self._observer.ended_per_s * part
        if pace <= 0:
            return _UNKNOWN_RETRY_S
        return min(max(math.ceil(1 / pace), _LEAST_RETRY_S), _MOST_RETRY_S)
