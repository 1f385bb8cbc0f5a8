"""Abandonment: the jobs that were to be cancelled when no reader is left. One process's part; the sweep calls it."""

import logging
from collections.abc import Callable

import msgspec

from tokentail.errors import JobGone, JobNotFound
from tokentail.jobs.admission import Admission
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.jobs.spending import NOTHING, spent_by
from tokentail.log.element import End
from tokentail.redis.store import Store

log = logging.getLogger(__name__)

_GAP_S = 4.0  # between two looks at the store; in a longer one, web processes may not have marked what is being read
_STEADY_S = 6.0  # without such a gap, after which each reader that is left has been marked


class Abandonment:
    """Finds and ends jobs without readers. After an outage or a pause of the machine it waits for readers' marks."""

    def __init__(self, store: Store, admission: Admission, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._admission = admission
        self._now_ms = now_ms
        self._answered_at_ms = self._steady_since_ms = now_ms()

    def look_at_clock(self) -> None:
        """Find out whether there was a gap. Call it before each look at the store, about once a second."""
        now_ms = self._now_ms()
        if abs(now_ms - self._answered_at_ms) > _GAP_S * 1000:
            self._steady_since_ms = now_ms

    def store_answered(self) -> None:
        """Note that the look at the store succeeded."""
        self._answered_at_ms = self._now_ms()

    def unread(self) -> list[tuple[str, int]]:
        """The jobs to end, each with the time that it has been without readers (ms). Raises StoreUnavailable."""
        is_steady = self._now_ms() - self._steady_since_ms > _STEADY_S * 1000
        unread = self._store.unread(self._now_ms()) if is_steady else []
        return [(job_id, after_ms) for job_id, after_ms in unread if not self._store.is_away(job_id)]

    def end(self, job_id: str, after_ms: int) -> bool:
        """Cancel the job if it is open; whether it was. One that is not to be stored is erased.

        Raises StoreUnavailable, StoreFull, Unreadable.
        """
        message = f"No reader was seen for {after_ms / 1000:g} s."
        end = End(Status.CANCELLED, error=Failure(FailureKind.ABANDONED, message))
        is_ended, spent = False, NOTHING
        try:
            job = self._store.view(job_id)
            is_ended = self._store.close(job_id, end, self._now_ms())
            spent = spent_by(self._store.view(job_id).end)
            if not _is_stored(self._store.request(job_id)):
                self._store.delete(job_id, self._now_ms())
        except (JobGone, JobNotFound):
            pass  # it is gone, which is more than was asked
        if is_ended:
            log.info("job.abandoned", extra={"job_id": job_id, "owner": job.owner})
            self._admission.leave(job.owner, job_id, spent)
        self._store.forget_readers(job_id)
        return is_ended


def _is_stored(request: bytes) -> bool:
    """Whether the client's own body said that the answer may be kept; most say nothing of it."""
    origin = msgspec.json.decode(request).get("origin") or {}
    return bool(origin.get("store", True))
