"""The shares: whether a read token still holds, because a job's owner may revoke the links to it.

A token names how often links of its job had been revoked when it was made. The job's record has the present count.
"""

from collections.abc import Callable

from app.http.access import NO_KEY, Caller
from app.http.response import Response, problem_of
from tokentail.errors import JobGone, JobNotFound
from tokentail.jobs.user import user_digest
from tokentail.redis.store import Store

_KEPT_S = 1.0
_MOST_KEPT = 1000


class Shares:
    """Looks up the jobs that are read with tokens, or by sessions of one user. It may block."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[str, tuple[float, int, str]] = {}  # by job: until when, its count, its user's digest

    def refusal(self, caller: Caller) -> Response | None:
        """The response to a caller whose read token was revoked, at most a second ago, or whose session is of another
        user than the job; None for every other caller.

        Raises StoreUnavailable, Unreadable.
        """
        if caller.only_job is None:
            return None
        try:
            count, user = self._looked_up(caller.only_job)
        except (JobGone, JobNotFound):
            return None  # the read itself says so
        if caller.user and user != user_digest(caller.owner, caller.user):
            return problem_of(JobNotFound(JobNotFound.__doc__))
        return None if caller.user or caller.shares == count else NO_KEY

    def is_fresh(self, caller: Caller) -> bool:
        """Whether the caller's read token or session, if it has one, is known to open the job. Reads nothing."""
        until, count, user = self._kept.get(caller.only_job or "", (0.0, 0, ""))
        opens = user == user_digest(caller.owner, caller.user) if caller.user else count == caller.shares
        return caller.only_job is None or (until > self._clock() and opens)

    def _looked_up(self, job_id: str) -> tuple[int, str]:
        now = self._clock()
        until, count, user = self._kept.get(job_id, (now, 0, ""))
        if until > now:
            return count, user
        job = self._store.view(job_id)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[job_id] = now + _KEPT_S, job.shares, job.user_digest
        return job.shares, job.user_digest
