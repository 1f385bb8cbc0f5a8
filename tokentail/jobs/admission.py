"""Admission: how many jobs may be open, and which of them may be in the queue.

The queue is first come, first served, so a client's thousand jobs would hold up everybody's. While all slots of the
workers are taken, what exceeds a client's share of them is held out of the queue, and enters when one of the client's
own jobs ends: the oldest one of the user that has the fewest in the queue or running, and of such users the one that
has waited the longest for its turn. Slots that nobody waits for are not bound by shares: the next client to submit
takes them.
"""

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from tokentail.errors import LimitReached, StoreFull, StoreUnavailable, TooManyJobs, Unreadable
from tokentail.identifiers import job_id_in, owner_in
from tokentail.jobs.accounts import DAYS_KEPT, day_of, ms_to_midnight
from tokentail.jobs.api_key import NO_LIMITS, Allowance, KeyLimits, Left
from tokentail.jobs.fleet import Observer
from tokentail.jobs.job import Job
from tokentail.jobs.queue import JobQueue
from tokentail.jobs.spending import NOTHING, Spent
from tokentail.jobs.turns import in_turn
from tokentail.redis import admission_scripts, keys
from tokentail.redis.errors import redis_errors
from tokentail.redis.mending import expel, mended
from tokentail.redis.scripts import whole_ms
from tokentail.redis.store import Store

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_UNLIMITED = 1_000_000_000
_LEAST_RETRY_S, _MOST_RETRY_S = 1, 60
_MINUTE_MS = 60_000
_CHUNK = 500  # records read in one round trip
_USAGE_KEPT_MS = DAYS_KEPT * 86_400_000
_UNKNOWN_RETRY_S = 30  # nothing has ended lately from which the time could be estimated


@dataclass(frozen=True)
class AdmissionLimits:
    """What a deployment takes."""

    most_open: int  # open jobs in all
    most_of_client: int  # open jobs of one client
    share: float  # of the workers' slots, that one client may take; 0 to 1
    most_of_user: int | None = None  # open jobs of one user of a client; None: any number


@dataclass(frozen=True)
class Entered:
    """The open jobs that were counted, each with its client."""

    held: dict[str, str]  # not in the queue yet, oldest first
    admitted: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that was counted."""

    is_admitted: bool  # it may be in the queue now
    allowance: Allowance  # what is left of the limits of its owner's key


class Admission:
    """Counts open jobs in and out, by owner. Where no API keys are set, all jobs have one owner."""

    def __init__(
        self,
        store: Store,
        queue: JobQueue,
        observer: Observer,
        limits: AdmissionLimits,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._queue = queue
        self._observer = observer
        self._limits = limits

    def enter(self, owner: str, job_id: str, now_ms: int, of_key: KeyLimits = NO_LIMITS, user: str = "") -> Entry:
        """Count an open job of a user (a digest). `of_key` are the limits of the owner's key, besides the deployment's.

        Raises TooManyJobs, LimitReached, StoreUnavailable, StoreFull.
        """
        limits, day = self._limits, day_of(now_ms).isoformat()
        most = limits.most_of_client if of_key.jobs is None else of_key.jobs
        most_of_user = limits.most_of_user if of_key.user_jobs is None else of_key.user_jobs
        counted = (owner, job_id, now_ms, limits.most_open, most, self._share_of(owner), self._slots())
        command = admission_scripts.enter(*counted, of_key, day, _USAGE_KEPT_MS, user, most_of_user)
        types = {keys.minute_of(owner): "zset", keys.usage_of_day(day): "hash"}
        found = self._mended([owner], lambda: self._store.run(command), types)
        left = _allowance(of_key, found, now_ms)
        match found.verdict:
            case "full":
                raise TooManyJobs(
                    f"{limits.most_open} jobs are open here, which is the limit.", self._retry_after_s(1.0)
                )
            case "client" | "user" as whose:
                # These jobs end at their own part of the pace.
                held = sum(len(lease.attempts) for lease in self._observer.live.values())
                retry_after_s = self._retry_after_s(min(found.admitted / held, 1.0) if held else 1.0)
                said = f"{most} of your jobs" if whose == "client" else f"{most_of_user} jobs of this user"
                raise TooManyJobs(f"{said} are open, which is the limit.", retry_after_s)
            case "requests":
                after_s = max(math.ceil((found.first_ms + _MINUTE_MS - now_ms) / 1000), 1)
                said = (
                    f"This key may submit {of_key.requests_per_minute} requests a minute. Send it again in {after_s} s."
                )
                raise LimitReached(said, after_s, left)
            case "tokens":
                after_s = math.ceil(ms_to_midnight(now_ms) / 1000)
                said = (
                    f"This key may use {of_key.tokens_per_day} tokens a day, and has. The next day begins at 00:00 UTC."
                )
                raise LimitReached(said, after_s, left)
        return Entry(found.verdict == "admitted", left)

    def leave(self, owner: str, job_id: str, spent: Spent = NOTHING) -> None:
        """Count out a job that has ended; another may enter the queue. Raises StoreUnavailable, StoreFull."""
        self.admit({owner: {job_id: spent}})

    def admit(self, ended: Mapping[str, Mapping[str, Spent]]) -> None:
        """Count out ended jobs, by owner, and put into the queue what may enter it now; all in a few round trips.

        Raises StoreUnavailable, StoreFull.
        """
        # First: what is counted out, the sweep does not look at again.
        self._store.index_webhooks([job_id for jobs in ended.values() for job_id in jobs])
        now_ms = self._now_ms()
        day, slots = day_of(now_ms).isoformat(), self._slots()
        commands = [
            admission_scripts.admit(owner, self._share_of(owner), slots, now_ms, jobs, day, _USAGE_KEPT_MS)
            for owner, jobs in ended.items()
        ]
        types = {keys.usage_of_day(day): "hash"}
        for job_id in chain(*self._mended(list(ended), lambda: self._store.run_all(commands), types)):
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
                _count_indexed(pipe, owner)
            return list(pipe.execute())

        replies = iter(self._mended(owners, read))
        entered = Entered({}, {})
        for owner in owners:
            held = self._jobs_in(keys.held_jobs(owner), "zset", next(replies))
            admitted = self._jobs_in(keys.admitted_jobs(owner), "set", next(replies))
            if next(replies) - next(replies) != 2 * (len(held) + len(admitted)):
                self._reindex(owner, [*held, *admitted])
            if not held and not admitted:
                self.admit({owner: {}})  # which forgets the client, unless a job of it has entered since
            entered.held.update((job_id, owner) for job_id in held)
            entered.admitted.update((job_id, owner) for job_id in admitted)
        return entered

    def adopt(self, owner: str, job_id: str, created_at_ms: int, user: str = "", *, is_admitted: bool) -> None:
        """Count a job that the indexes lack: among those in the queue or running, or among those held out of it."""
        command = admission_scripts.adopt(owner, job_id, created_at_ms, user, is_admitted=is_admitted)
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
        return [(job_id, whole_ms(at)) for member, at in pairs if (job_id := job_id_in(member))]

    def open_count(self) -> int:
        """How many jobs are open."""
        return int(self._mended([], lambda: self._store.client.zcard(keys.OPEN_JOBS)))

    def in_turn(self, held: Mapping[str, list[str]], admitted: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Each owner's held jobs in the order in which they will enter the queue; `admitted` in that of their ends."""

        def read() -> list[Any]:
            pipe = self._store.client.pipeline(transaction=False)
            for owner in held:
                pipe.zrangebylex(keys.users_of(owner), "[job:", "(job;")
                pipe.zrange(keys.turns_of(owner), 0, -1, withscores=True)
            return list(pipe.execute())

        replies = iter(self._mended(list(held), read))
        pairs = {owner: admission_scripts.users_and_turns(next(replies), next(replies)) for owner in held}
        return {owner: in_turn(held[owner], admitted.get(owner, []), *pairs[owner]) for owner in held}

    def _reindex(self, owner: str, job_ids: Sequence[str]) -> None:
        """Make the index of the owner's users anew of the jobs' records, if it has another number of entries."""

        def counts() -> list[int]:
            pipe = self._store.client.pipeline(transaction=True)  # the counts of one moment
            pipe.zcard(keys.held_jobs(owner))
            pipe.scard(keys.admitted_jobs(owner))
            _count_indexed(pipe, owner)
            return list(pipe.execute())

        held, admitted, entries, turns = self._mended([owner], counts)
        if entries == 2 * (held + admitted) + turns:
            return
        users: dict[str, str] = {}
        for at in range(0, len(job_ids), _CHUNK):
            jobs = self._store.view_all(job_ids[at : at + _CHUNK])
            users.update((job.id, job.user_digest) for job in jobs if isinstance(job, Job))
        command = admission_scripts.reindex(owner, users)
        self._mended([owner], lambda: self._store.run(command))

    def _jobs_in(self, key: str, kind: str, members: Collection[bytes]) -> list[str]:
        foreign = [member for member in members if job_id_in(member) is None]
        self._expel(key, kind, foreign)
        return [job_id for member in members if (job_id := job_id_in(member))]

    def _expel(self, key: str, kind: str, foreign: Sequence[bytes]) -> None:
        if foreign:
            with redis_errors(key):
                expel(self._store.client, key, kind, foreign)

    def _mended(
        self, owners: Sequence[str], call: Callable[[], Value], more_types: Mapping[str, str] | None = None
    ) -> Value:
        """Make the call; an index of the wrong type is dropped first, and the sweep rebuilds it."""
        with redis_errors(keys.OPEN_JOBS):
            types = {**keys.open_types(owners), **(more_types or {})}
            return mended(self._store.client, types, call, keys.REBUILD)

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


def _count_indexed(pipe: Any, owner: str) -> None:
    """Ask how many entries the index of an owner's users has (two of a job, one of a turn), and how many turns."""
    pipe.zcard(keys.users_of(owner))
    pipe.zcard(keys.turns_of(owner))


def _allowance(of_key: KeyLimits, found: admission_scripts.Entered, now_ms: int) -> Allowance:
    requests = tokens = None
    if (most := of_key.requests_per_minute) is not None:
        reset_ms = max(found.last_ms + _MINUTE_MS - now_ms, 0) if found.requests else 0
        requests = Left(most, max(most - found.requests, 0), reset_ms)
    if (most := of_key.tokens_per_day) is not None:
        tokens = Left(most, max(most - found.tokens, 0), ms_to_midnight(now_ms))
    return Allowance(requests, tokens)
