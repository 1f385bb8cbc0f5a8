"""The index of all jobs, for operators: the newest jobs of all owners by creation, in one bounded key."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tokentail.errors import JobGone, JobNotFound, StoreUnavailable
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


class JobPage(NamedTuple):
    """A page of a list of jobs. `older_than` is that of the next page, None at the end.

    `missing` is how many jobs were met that cannot be read now, because their node of a Cluster is away.
    """

    jobs: list[Job]
    older_than: str | None
    missing: int


class _Found(NamedTuple):
    """A job of a page, the `older_than` of what follows it, and how many jobs before it are missing."""

    job: Job
    older_than: str
    missing: int


class PageOfJobs:
    """A page that is being filled, with one job more than its limit: that one tells whether another page follows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._found: list[_Found] = []
        self._missing = 0

    @property
    def is_full(self) -> bool:
        """Whether the job that tells of a next page was found."""
        return len(self._found) > self._limit

    def add(self, job: Job, older_than: str) -> None:
        """A wanted job, and the `older_than` of what follows it."""
        self._found.append(_Found(job, older_than, self._missing))

    def miss(self) -> None:
        """A listed job that cannot be read now."""
        self._missing += 1

    def ended(self, older_than: str | None) -> JobPage:
        """The page; `older_than` is where the search ended, None at the end of the list."""
        jobs = [found.job for found in self._found[: self._limit]]
        if self.is_full:
            return JobPage(jobs, *self._found[self._limit - 1][1:])
        return JobPage(jobs, older_than, self._missing)


def views_of(
    client: ScriptClient, listed: Sequence[tuple[str, int]], fields: Mapping[str, str]
) -> list[Job | Exception | None]:
    """The view of each listed job; StoreUnavailable in the place of those whose node of a Cluster is away.

    None stands for jobs whose record has not these fields (`scripts.matching`), which costs an eighth of a view.
    Raises StoreUnavailable where there is one server alone.
    """
    sought = [job_id for job_id, _ in listed]
    if fields:
        sought = _matching(client, sought, fields)
    views = client.run_each([scripts.view(job_id) for job_id in sought])
    for view in views if client.cluster is None else ():
        if isinstance(view, StoreUnavailable):
            raise view
    found = dict(zip(sought, views, strict=True))
    return [found.get(job_id) for job_id, _ in listed]


def _matching(client: ScriptClient, job_ids: list[str], fields: Mapping[str, str]) -> list[str]:
    """The jobs whose record has these fields, or cannot be read now."""
    at_once = _AT_ONCE if client.cluster is None else 1
    parts = [job_ids[i : i + at_once] for i in range(0, len(job_ids), at_once)]
    outcomes = client.run_each([scripts.matching(part, fields) for part in parts])
    unread = (part if isinstance(found, Exception) else found for part, found in zip(parts, outcomes, strict=True))
    return [job_id for part in unread for job_id in part]


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
        self,
        is_wanted: Callable[[Job], bool],
        older_than: str | None,
        limit: int,
        since_ms: int,
        now_ms: int,
        fields: Mapping[str, str],
    ) -> JobPage:
        """At most `limit` wanted jobs from `since_ms` on, newest first. `fields` are those of a wanted job's record.

        A page on which few jobs are wanted may be short before the last: so many jobs are looked at for it.
        """
        page = PageOfJobs(limit)
        for _ in range(_MOST_SCANNED // _AT_ONCE):
            listed = read_index(self, ALL_JOBS, *(older_than or "").partition(".")[::2], _AT_ONCE)
            gone: list[str] = []
            for (job_id, created_ms), job in zip(listed, views_of(self, listed, fields), strict=True):
                if created_ms < since_ms:
                    return page.ended(None)
                older_than = f"{job_id}.{created_ms}"
                if isinstance(job, Job) and is_wanted(job):
                    page.add(job, older_than)
                elif isinstance(job, StoreUnavailable):
                    page.miss()
                elif isinstance(job, JobGone) or (isinstance(job, JobNotFound) and created_ms < now_ms - _MAKING_MS):
                    gone.append(job_id)
                if page.is_full:
                    self._take_off(gone)
                    return page.ended(older_than)
            self._take_off(gone)
            if len(listed) < _AT_ONCE:
                return page.ended(None)
        return page.ended(older_than)

    def _take_off(self, job_ids: list[str]) -> None:
        if job_ids:
            with redis_errors(ALL_JOBS):
                self.client.zrem(ALL_JOBS, *job_ids)
