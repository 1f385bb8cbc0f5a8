"""Admission: how many jobs may be open, and which of them may be in the queue.

The queue is first come, first served, so a client's thousand jobs would hold up everybody's. While all slots of the
workers are taken, what exceeds a client's share of them is held out of the queue, and enters when one of the client's
own jobs ends. Slots that nobody waits for are not bound by shares: the next client to submit takes them.
"""

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tokentail.errors import StoreFull, StoreUnavailable, TooManyJobs, Unreadable
from tokentail.identifiers import job_id_in, owner_in
from tokentail.jobs.fleet import Observer
from tokentail.jobs.queue import JobQueue
from tokentail.redis import keys, scripts
from tokentail.redis.errors import redis_errors
from tokentail.redis.mending import expel, mended
from tokentail.redis.store import Store

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_UNLIMITED = 1_000_000_000
_LEAST_RETRY_S, _MOST_RETRY_S = 1, 60
_UNKNOWN_RETRY_S = 30  # nothing has ended lately from which the time could be estimated


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
    """Counts open jobs in and out, by owner. Where no API keys are set, all jobs have one owner."""

    def __init__(self, store: Store, queue: JobQueue, observer: Observer, limits: AdmissionLimits) -> None:
        self._store = store
        self._queue = queue
        self._observer = observer
        self._limits = limits

    def enter(self, owner: str, job_id: str, now_ms: int) -> bool:
        """Count an open job; whether it may be in the queue now. Raises TooManyJobs, StoreUnavailable, StoreFull."""
        limits = self._limits
        share, slots = self._share_of(owner), self._slots()
        command = scripts.enter(owner, job_id, now_ms, limits.most_open, limits.most_of_client, share, slots)
        verdict, *admitted = self._mended([owner], lambda: self._store.run(command))
        if verdict == b"full":
            raise TooManyJobs(f"{limits.most_open} jobs are open here, which is the limit.", self._retry_after_s(1.0))
        if verdict == b"client":
            # Its jobs end at its own part of the pace.
            held = sum(len(lease.attempts) for lease in self._observer.live.values())
            retry_after_s = self._retry_after_s(min(admitted[0] / held, 1.0) if held else 1.0)
            raise TooManyJobs(f"{limits.most_of_client} of your jobs are open, which is the limit.", retry_after_s)
        return bool(verdict == b"admitted")

    def leave(self, owner: str, job_id: str) -> None:
        """Count out a job that has ended; another may enter the queue. Raises StoreUnavailable, StoreFull."""
        self.admit(owner, [job_id])

    def admit(self, owner: str, ended: Sequence[str] = ()) -> None:
        """Put into the queue what may enter it now. Raises StoreUnavailable, StoreFull."""
        self._store.index_webhooks(ended)  # first: what is counted out, the sweep does not look at again
        command = scripts.admit(owner, self._share_of(owner), self._slots(), ended)
        for job_id in self._mended([owner], lambda: self._store.run(command)):
            try:
                self._queue.enqueue(job_id, 1)
            except (StoreUnavailable, StoreFull, Unreadable):
                log.warning("job.not_enqueued", extra={"job_id": job_id})  # the sweep finds it missing

    def entered(self) -> Entered:
        """All open jobs that were counted. Entries that cannot be a client or a job are removed."""
        client = self._store.client
        members = self._mended([], lambda: client.smembers(keys.OPEN_CLIENTS))
        self._expel(keys.OPEN_CLIENTS, "set", [member for member in members if owner_in(member) is None])
        owners = sorted(owner for member in members if (owner := owner_in(member)) is not None)

        def read() -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for owner in owners:
                pipe.zrange(keys.held_jobs(owner), 0, -1)
                pipe.smembers(keys.admitted_jobs(owner))
            replies: list[Any] = pipe.execute()
            return replies

        replies = iter(self._mended(owners, read))
        entered = Entered({}, {})
        for owner in owners:
            held = self._jobs_in(keys.held_jobs(owner), "zset", next(replies))
            admitted = self._jobs_in(keys.admitted_jobs(owner), "set", next(replies))
            if not held and not admitted:
                self.admit(owner)  # which forgets the client, unless a job of it has entered since
            entered.held.update((job_id, owner) for job_id in held)
            entered.admitted.update((job_id, owner) for job_id in admitted)
        return entered

    def adopt(self, owner: str, job_id: str, created_at_ms: int, *, is_admitted: bool) -> None:
        """Count a job that the indexes lack: among those in the queue or running, or among those held out of it."""
        command = scripts.adopt(owner, job_id, created_at_ms, is_admitted=is_admitted)
        self._mended([owner], lambda: self._store.run(command))

    def recount(self, entered: Entered) -> None:
        """Make the set of all admitted jobs anew of the clients' own sets, should it have another number of jobs."""
        client = self._store.client
        admitted = [keys.admitted_jobs(owner) for owner in set(entered.admitted.values()) or {""}]
        if self._mended([], lambda: client.scard(keys.ADMITTED_JOBS)) != len(entered.admitted):
            self._mended([], lambda: client.sunionstore(keys.ADMITTED_JOBS, admitted))

    def open_jobs(self) -> list[tuple[str, int]]:
        """Ids and creation times (Unix ms) of the open jobs, oldest first. Entries without a job id are removed."""
        key = keys.OPEN_JOBS
        pairs = self._mended([], lambda: self._store.client.zrange(key, 0, -1, withscores=True))
        self._expel(key, "zset", [member for member, _ in pairs if job_id_in(member) is None])
        return [(job_id, scripts.whole_ms(at)) for member, at in pairs if (job_id := job_id_in(member))]

    def open_count(self) -> int:
        """How many jobs are open."""
        return int(self._mended([], lambda: self._store.client.zcard(keys.OPEN_JOBS)))

    def rebuild_mark(self) -> bytes | None:
        """The mark that an index was dropped, so that open jobs may be missing from it; None without a mark."""
        with redis_errors(keys.REBUILD):
            mark: bytes | None = self._store.client.dump(keys.REBUILD)  # of whatever type it is
        return mark

    def note_rebuilt(self, mark: bytes) -> None:
        """Remove `mark`: all indexes were rebuilt from the jobs' records since it was read. A later mark stays."""
        if self.rebuild_mark() == mark:
            with redis_errors(keys.REBUILD):
                self._store.client.delete(keys.REBUILD)

    def _jobs_in(self, key: str, kind: str, members: Collection[bytes]) -> list[str]:
        foreign = [member for member in members if job_id_in(member) is None]
        self._expel(key, kind, foreign)
        return [job_id for member in members if (job_id := job_id_in(member))]

    def _expel(self, key: str, kind: str, foreign: Sequence[bytes]) -> None:
        if foreign:
            with redis_errors(key):
                expel(self._store.client, key, kind, foreign)

    def _mended(self, owners: Sequence[str], call: Callable[[], Value]) -> Value:
        """Make the call; an index of the wrong type is dropped first, and the sweep rebuilds it."""
        with redis_errors(keys.OPEN_JOBS):
            return mended(self._store.client, keys.open_types(owners), call, keys.REBUILD)

    def _share_of(self, owner: str) -> int:
        """How many of the owner's jobs may be in the queue or run."""
        if not owner:
            return _UNLIMITED
        return max(int(self._slots() * self._limits.share), 1)

    def _slots(self) -> int:
        return sum(lease.slots for lease in self._observer.live.values())

    def _retry_after_s(self, part: float) -> int:
        """Seconds until a job is likely to have ended, of those that make up this part of all."""
        pace = self._observer.ended_per_s * part
        if pace <= 0:
            return _UNKNOWN_RETRY_S
        return min(max(math.ceil(1 / pace), _LEAST_RETRY_S), _MOST_RETRY_S)
