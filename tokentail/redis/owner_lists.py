"""The owners' lists: each owner's jobs by creation, and those of each of its users, in keys of their own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from tokentail.errors import JobGone, JobNotFound, StoreUnavailable, Unreadable
from tokentail.identifiers import job_id_in
from tokentail.jobs.job import Job, Retention
from tokentail.jobs.job_filter import EVERY_JOB, JobFilter
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.job_index import JobPage, PageOfJobs, add_to_index, read_index, views_of
from tokentail.redis.keys import ALL_JOBS, REBUILD, live_channel, owner_index, record_of, user_index
from tokentail.redis.mending import mended
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.script_client import ScriptClient

Value = TypeVar("Value")

_LIST_SLACK_MS = 7 * 24 * 3600 * 1000  # how long a list outlives the content of a job that ended as soon as it was made
_MOSTLY_ENDED_MS = 3600 * 1000  # the age at which nearly every job has ended
_MAKING_MS = 60_000  # how long a job may be listed before it is made
_OLD_AT_ONCE = 200  # jobs that one round trip looks up
_MOST_ROUNDS = 20  # of those, for one page


class OwnerLists(ScriptClient):
    """Lists jobs by owner. A job is listed before it is made, and taken off once its log is found to be missing."""

    def __init__(self, client: RedisClient, retention: Retention) -> None:
        super().__init__(client)
        self.retention = retention

    def list_for(self, owner: str, job_id: str, now_ms: int, user: str = "") -> None:
        """Put the job on its owner's list, on that of its user, whose digest this is, and on the index of all jobs.

        Now and then the oldest jobs that are gone are taken off the lists.
        """

        def put() -> None:
            trip = RoundTrip(self.client)
            settle = self.put_on_lists(trip, owner, job_id, now_ms, user)
            trip.send()
            settle()

        self.with_lists(owner, user, put)

    def put_on_lists(self, trip: RoundTrip, owner: str, job_id: str, now_ms: int, user: str = "") -> Callable[[], None]:
        """Have the trip do what `list_for` does. What is returned is called after it, and raises what went wrong."""
        kept_ms = self.retention.longest_ms
        # A user's list has tombstones, so that erasing the user finds them.
        lists = {owner_index(owner): kept_ms, **({user_index(user): self._until_gone_ms} if user else {})}
        outcomes: list[Outcome[Any]] = []
        old: dict[str, Outcome[list[bytes]]] = {}
        for name, stays_ms in lists.items():
            outcomes.append(trip.add("ZADD", name, "NX", now_ms, job_id))
            outcomes.append(trip.add("PEXPIRE", name, stays_ms + _LIST_SLACK_MS))
            oldest_ms = now_ms - stays_ms - _MOSTLY_ENDED_MS
            old[name] = trip.add("ZRANGEBYSCORE", name, 0, oldest_ms, "LIMIT", 0, _OLD_AT_ONCE)
        outcomes += add_to_index(trip, job_id, now_ms, kept_ms + _LIST_SLACK_MS)

        def settle() -> None:
            for outcome in outcomes:
                outcome.get()
            for name, listed in old.items():
                if len(members := listed.get()) == _OLD_AT_ONCE:
                    self._unlist(name, self._gone(members, live_channel if name == owner_index(owner) else record_of))

        return settle

    def with_lists(self, owner: str, user: str, call: Callable[[], Value]) -> Value:
        """Make the call, which may raise Unreadable for a list of the owner or user; such a list is made anew first."""
        with redis_errors(owner_index(owner)):
            for name in (owner_index(owner), *([user_index(user)] if user else ())):
                call = partial(mended, self.client, {name: "zset"}, call, REBUILD)
            return mended(self.client, {ALL_JOBS: "zset"}, call, REBUILD)

    @property
    def _until_gone_ms(self) -> int:
        """How long a job's record is kept after its end."""
        return self.retention.longest_ms + self.retention.tombstone_ms

    def _gone(self, listed: Sequence[bytes], key_of: Callable[[str], str]) -> list[bytes]:
        """The listed jobs that have no such key."""
        pipe = self.client.pipeline(transaction=False)
        for member in listed:
            pipe.exists(key_of(job_id_in(member) or ""))
        return [member for member, is_there in zip(listed, pipe.execute(), strict=True) if not is_there]

    def jobs_of(self, owner: str, older_than: str | None, limit: int) -> list[str]:
        """At most `limit` ids of an owner's jobs, newest first; with `older_than`, those created before that job.

        Deleted and expired jobs may be among them.
        """
        return [job_id for job_id, _ in self.listed(owner, "", older_than, limit)]

    def page_of(
        self, owner: str, older_than: str | None, limit: int, now_ms: int, wanted: JobFilter = EVERY_JOB
    ) -> JobPage:
        """At most `limit` of an owner's jobs that the filter admits, newest first.

        Deleted and expired jobs are taken off the list. Only among thousands of them, or of jobs that the filter does
        not admit, is a page short before the last.
        """
        page = PageOfJobs(limit)
        count = limit + 1  # one more tells whether another page follows
        for _ in range(_MOST_ROUNDS):
            listed = self.listed(owner, wanted.user, older_than, count)
            views = views_of(self, listed, wanted.fields)
            self._forget_gone(owner, wanted.user, listed, views, now_ms)
            for (job_id, created_ms), job in zip(listed, views, strict=True):
                older_than = f"{job_id}.{created_ms}"
                if isinstance(job, Job):
                    if job.owner == owner and wanted.admits(job):
                        page.add(job, older_than)
                elif isinstance(job, StoreUnavailable):
                    if created_ms >= wanted.since_ms:
                        page.miss()
                elif job is not None and not isinstance(job, JobGone | JobNotFound | Unreadable):
                    raise job
            if page.is_full:
                break
            if len(listed) < count or listed[-1][1] < wanted.since_ms:
                return page.ended(None)
            count = _OLD_AT_ONCE
        return page.ended(older_than)

    def listed(self, owner: str, user: str, older_than: str | None, most: int) -> list[tuple[str, int]]:
        """At most `most` ids of the owner's jobs, or of those of its user, newest first, each with its creation.

        `older_than` is what `page_of` gave, or a job's id. What cannot be a job is taken off the list.
        """
        last, _, created_ms = (older_than or "").partition(".")
        if last and not created_ms:
            created_ms = self._created(owner, last)
        name = user_index(user) if user else owner_index(owner)
        return read_index(self, name, last, created_ms, most)

    def _created(self, owner: str, job_id: str) -> str:
        """When the owner's job was created, by its record; "" where the record has no such time."""
        with suppress(Unreadable), redis_errors(record_of(job_id)):
            of, created = self.client.hmget(record_of(job_id), "owner", "created_at")
            if of == owner.encode() and created and created.isdigit():
                return str(created.decode())
        return ""

    def _forget_gone(
        self,
        owner: str,
        user: str,
        listed: Sequence[tuple[str, int]],
        views: Sequence[Job | Exception | None],
        now_ms: int,
    ) -> None:
        """Take the jobs off a list that have left it; a user's list has tombstones, too."""
        gone: list[str] = []
        for (job_id, created_ms), job in zip(listed, views, strict=True):
            is_never_made = isinstance(job, JobNotFound) and created_ms < now_ms - _MAKING_MS
            if is_never_made or (isinstance(job, JobGone) and not user):
                gone.append(job_id)
        self._unlist(user_index(user) if user else owner_index(owner), gone)

    def _unlist_deleted(self, trip: RoundTrip, whose: Mapping[str, tuple[str, str]]) -> list[Outcome[int]]:
        """Have the trip take deleted jobs off all lists. `whose` has owner and user's digest of each."""
        lists: dict[str, list[str]] = {}
        for job_id, (owner, user) in whose.items():
            lists.setdefault(owner_index(owner), []).append(job_id)
            if user:
                lists.setdefault(user_index(user), []).append(job_id)
        return [trip.add("ZREM", name, *job_ids) for name, job_ids in (*lists.items(), (ALL_JOBS, list(whose)))]

    def _unlist(self, name: str, job_ids: Sequence[str | bytes]) -> None:
        """Take jobs off a list."""
        if job_ids:
            with redis_errors():
                self.client.zrem(name, *job_ids)
