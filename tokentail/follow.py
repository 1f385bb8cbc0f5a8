"""Following a job: one read of its log that may wait for something to read.

The short poll is a wait of nothing. Every transport stands on this. A log is shown to its owner alone: to others the
job is not there.
"""

import time
from dataclasses import replace

from tokentail.batch import Batch
from tokentail.cursor import BEGINNING, Cursor
from tokentail.errors import JobGone, JobNotFound
from tokentail.store import Store
from tokentail.wakeup import Wakeups

_CONFIRM_S = 1.5  # Redis away is told within two seconds


class Follower:
    """Reads logs from cursors, and waits."""

    def __init__(self, store: Store, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups

    @property
    def is_closing(self) -> bool:
        """Nothing waits any more: the process is going."""
        return self._wakeups.is_closing

    def read(self, owner: str, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """What is there now. Raises JobNotFound (for another owner's job, too), JobGone, StoreUnavailable."""
        try:
            batch = self._store.read(job_id, cursor, limit)
        except JobGone as gone:
            if gone.owner != owner:
                raise JobNotFound(JobNotFound.__doc__) from None
            raise
        if batch.owner != owner:
            raise JobNotFound(JobNotFound.__doc__)
        return batch

    def wait(
        self, owner: str, job_id: str, cursor: Cursor, limit: int, *, wait_s: float, linger_s: float, with_events: bool
    ) -> Batch:
        """What is there as soon as it is worth an answer, or after `wait_s` whatever there is. Raises like `read`.

        With `linger_s`, gathers that much longer after the first news, unless the end is reached.
        """
        batch = self.read(owner, job_id, cursor, limit)
        is_news = batch.is_news(with_events=with_events)
        if wait_s <= 0 or batch.is_done or (is_news and (not linger_s or len(batch.elements) >= limit)):
            return batch
        deadline = time.monotonic() + wait_s
        lingers_until = None
        with self._wakeups.subscribed(job_id, _CONFIRM_S) as woken:
            while True:
                woken.clear()
                batch = self._read_on(batch, limit, is_kept=is_news)
                if cursor == BEGINNING:
                    batch = replace(batch, is_reset=False)  # there is nothing to clear
                is_news = batch.is_news(with_events=with_events)
                if batch.is_done or len(batch.elements) >= limit or self._wakeups.is_closing:
                    return batch
                if is_news and lingers_until is None:
                    lingers_until = time.monotonic() + linger_s
                    deadline = min(deadline, lingers_until)
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not woken.wait(left_s):
                    return batch

    def _read_on(self, batch: Batch, limit: int, *, is_kept: bool) -> Batch:
        """What came after `batch`, behind its own elements if they are kept; without, if the generation is another."""
        kept = batch.elements if is_kept else ()
        more = self.read(batch.owner, batch.job_id, batch.cursor, max(limit - len(kept), 1))
        if more.is_reset:
            return more
        return replace(more, first=more.first - len(kept), elements=kept + more.elements, is_reset=batch.is_reset)
