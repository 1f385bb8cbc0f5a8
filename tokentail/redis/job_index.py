"""The index of all jobs, for operators: the newest jobs of all owners by creation, in one bounded key."""

from collections.abc import Callable
from typing import Any

from tokentail.errors import JobGone, JobNotFound
from tokentail.identifiers import job_id_in
from tokentail.jobs.job import Job
from tokentail.redis import scripts
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import ALL_JOBS, REBUILD
from tokentail.redis.mending import expel, mended
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.script_client import ScriptClient

MOST_INDEXED = 10_000  # jobs; 92 bytes of Redis each, as Valkey 9 counts them
_AT_ONCE = 200  # jobs that one round trip looks up
_MOST_SCANNED = 2000  # of those, for one page
_MAKING_MS = 60_000  # how long a job may be listed before it is made


def add_to_index(trip: RoundTrip, job_id: str, now_ms: int, ttl_ms: int) -> list[Outcome[Any]]:
    """Have the round trip put the job on the index, and take off the oldest beyond the limit."""
    return [
        trip.add("ZADD", ALL_JOBS, "NX", now_ms, job_id),
        trip.add("ZREMRANGEBYRANK", ALL_JOBS, 0, -MOST_INDEXED - 1),
        trip.add("PEXPIRE", ALL_JOBS, ttl_ms),
    ]


def read_index(client: ScriptClient, name: str, last: str, created_ms: str, most: int) -> list[tuple[str, int]]:
    """At most `most` ids of jobs in an index by creation, newest first from `last` on, each with its creation.

    What cannot be a job is taken off the index.
    """
    command = scripts.listed(name, last, created_ms, most)
    while True:
        with redis_errors(name):
            listed = mended(client.client, {name: "zset"}, lambda: client.run(command), REBUILD)
            foreign = [member for member, _ in listed if job_id_in(member) is None]
            if not foreign:
                return [(member.decode(), created) for member, created in listed]
            expel(client.client, name, "zset", foreign)  # and read again, for a short page would be the last one


class JobIndex(ScriptClient):
    """Reads the index. Jobs whose content has expired or was deleted are taken off it when they are met."""

    def newest(
        self, is_wanted: Callable[[Job], bool], older_than: str | None, limit: int, since_ms: int, now_ms: int
    ) -> tuple[list[Job], str | None]:
        """At most `limit` wanted jobs from `since_ms` on, newest first, and the `older_than` of the next page.

        A page on which few jobs are wanted may be short before the last: so many jobs are looked at for it.
        """
        found: list[tuple[Job, str]] = []
        for _ in range(_MOST_SCANNED // _AT_ONCE):
            listed = read_index(self, ALL_JOBS, *(older_than or "").partition(".")[::2], _AT_ONCE)
            gone: list[str] = []
            views = self.run_many([scripts.view(job_id) for job_id, _ in listed])
            for (job_id, created_ms), job in zip(listed, views, strict=True):
                if created_ms < since_ms:
                    return [job for job, _ in found], None
                older_than = f"{job_id}.{created_ms}"
                if isinstance(job, Job) and is_wanted(job):
                    found.append((job, older_than))
                elif isinstance(job, JobGone) or (isinstance(job, JobNotFound) and created_ms < now_ms - _MAKING_MS):
                    gone.append(job_id)
                if len(found) > limit:  # one more tells that another page follows
                    self._take_off(gone)
                    return [job for job, _ in found[:limit]], found[limit - 1][1]
            self._take_off(gone)
            if len(listed) < _AT_ONCE:
                return [job for job, _ in found], None
        return [job for job, _ in found], older_than

    def _take_off(self, job_ids: list[str]) -> None:
        if job_ids:
            with redis_errors(ALL_JOBS):
                self.client.zrem(ALL_JOBS, *job_ids)
