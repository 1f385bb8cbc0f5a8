"""The shares: whether a read token still holds, because a job's owner may revoke the links to it.

A token names how often links of its job had been revoked when it was made. The job's record has the present count.
"""

from collections.abc import Callable

from app.http.access import NO_KEY, Caller
from app.http.response import Response
from tokentail.errors import JobGone, JobNotFound
from tokentail.redis.store import Store

_KEPT_S = 1.0
_MOST_KEPT = 1000


class Shares:
    """Looks up the counts of jobs that are read with tokens. It may block."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[str, tuple[float, int]] = {}  # by job: until when, and the count

    def refusal(self, caller: Caller) -> Response | None:
        """The response to a caller whose read token was revoked, at most a second ago; None for every other caller.

        Raises StoreUnavailable, Unreadable.
        """
        if caller.only_job is None:
            return None
        return None if caller.shares == self._count(caller.only_job, caller.shares) else NO_KEY

    def is_fresh(self, caller: Caller) -> bool:
        """Whether the caller's read token, if it has one, is known to hold. Reads nothing."""
        until, count = self._kept.get(caller.only_job or "", (0.0, 0))
        return caller.only_job is None or (until > self._clock() and count == caller.shares)

    def _count(self, job_id: str, of_token: int) -> int:
        now = self._clock()
        until, count = self._kept.get(job_id, (now, 0))
        if until > now:
            return count
        try:
            count = self._store.view(job_id).shares
        except (JobGone, JobNotFound):
            return of_token  # the read itself raises the error
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[job_id] = now + _KEPT_S, count
        return count
