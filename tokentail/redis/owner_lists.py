"""The owners' lists: each owner's jobs by creation, in a key of its own beside the jobs."""

from collections.abc import Sequence
from contextlib import suppress

from tokentail.errors import JobGone, JobNotFound, Unreadable
from tokentail.identifiers import job_id_in
from tokentail.jobs.job import Job, Retention
from tokentail.redis import scripts
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.job_index import add_to_index
from tokentail.redis.keys import ALL_JOBS, REBUILD, live_channel, owner_index, record_of
from tokentail.redis.mending import expel, mended
from tokentail.redis.script_client import ScriptClient

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

    def list_for(self, owner: str, job_id: str, now_ms: int) -> None:
        """Put the job on its owner's list and on the index of all jobs.

        Now and then the oldest jobs without a log are taken off the list."""
        kept_ms = self.retention.content_ms
        name = owner_index(owner)

        def put() -> None:
            pipe = self.client.pipeline(transaction=False)
            add_to_index(pipe, job_id, now_ms, kept_ms + _LIST_SLACK_MS)
            pipe.zadd(name, {job_id: now_ms}, nx=True)
            pipe.pexpire(name, kept_ms + _LIST_SLACK_MS)
            pipe.zrangebyscore(name, 0, now_ms - kept_ms - _MOSTLY_ENDED_MS, start=0, num=_OLD_AT_ONCE)
            *_, old = pipe.execute()
            if len(old) == _OLD_AT_ONCE:
                pipe = self.client.pipeline(transaction=False)
                for listed in old:
                    pipe.exists(live_channel(job_id_in(listed) or ""))  # the log
                are_there = pipe.execute()
                self._unlist(owner, [i for i, is_there in zip(old, are_there, strict=True) if not is_there])

        with redis_errors(name):
            mended(self.client, {ALL_JOBS: "zset"}, lambda: mended(self.client, {name: "zset"}, put, REBUILD), REBUILD)

    def jobs_of(self, owner: str, older_than: str | None, limit: int) -> list[str]:
        """At most `limit` ids of an owner's jobs, newest first; with `older_than`, those created before that job.

        Deleted and expired jobs may be among them.
        """
        return [job_id for job_id, _ in self._listed(owner, older_than, limit)]

    def page_of(self, owner: str, older_than: str | None, limit: int, now_ms: int) -> tuple[list[Job], str | None]:
        """At most `limit` of an owner's jobs, newest first, and the `older_than` of the next page; None at the end.

        Deleted and expired jobs are taken off the list. Only among thousands of them is a page short before the last.
        """
        found: list[tuple[Job, str]] = []
        count = limit + 1  # one more tells whether another page follows
        for _ in range(_MOST_ROUNDS):
            listed = self._listed(owner, older_than, count)
            gone: list[str] = []
            views = self.run_many([scripts.view(job_id) for job_id, _ in listed])
            for (job_id, created_ms), job in zip(listed, views, strict=True):
                older_than = f"{job_id}.{created_ms}"
                if isinstance(job, Job):
                    found.append((job, older_than))
                elif isinstance(job, JobGone) or (isinstance(job, JobNotFound) and created_ms < now_ms - _MAKING_MS):
                    gone.append(job_id)
                elif not isinstance(job, JobNotFound | Unreadable):
                    raise job
            self._unlist(owner, gone)
            if len(found) > limit:
                return [job for job, _ in found[:limit]], found[limit - 1][1]
            if len(listed) < count:
                older_than = None
                break
            count = _OLD_AT_ONCE
        return [job for job, _ in found], older_than

    def _listed(self, owner: str, older_than: str | None, most: int) -> list[tuple[str, int]]:
        """`older_than` is what `page_of` gave, or a job's id. What cannot be a job is taken off the list."""
        last, _, created_ms = (older_than or "").partition(".")
        if last and not created_ms:
            created_ms = self._created(owner, last)
        name = owner_index(owner)
        command = scripts.listed(owner, last, created_ms, most)
        while True:
            with redis_errors(name):
                listed = mended(self.client, {name: "zset"}, lambda: self.run(command), REBUILD)
                foreign = [member for member, _ in listed if job_id_in(member) is None]
                if not foreign:
                    return [(member.decode(), created) for member, created in listed]
                expel(self.client, name, "zset", foreign)  # and read again, for a short page would be the last one

    def _created(self, owner: str, job_id: str) -> str:
        """When the owner's job was created, by its record; "" where the record has no such time."""
        with suppress(Unreadable), redis_errors(record_of(job_id)):
            of, created = self.client.hmget(record_of(job_id), "owner", "created_at")
            if of == owner.encode() and created and created.isdigit():
                return str(created.decode())
        return ""

    def _unlist(self, owner: str, job_ids: Sequence[str | bytes]) -> None:
        """Take jobs off their owner's list."""
        if job_ids:
            with redis_errors():
                self.client.zrem(owner_index(owner), *job_ids)
