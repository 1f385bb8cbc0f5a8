"""Following a job: one read of its log that may wait for something to read.

The short poll is a wait of nothing. Every transport stands on this.
"""

import time
from dataclasses import replace

from tokentail.batch import Batch
from tokentail.cursor import BEGINNING, Cursor
from tokentail.store import Store
from tokentail.wakeup import Wakeups

_CONFIRM_S = 1.5  # Redis away is told within two seconds


class Follower:
    """Reads logs from cursors, and waits."""

    def __init__(self, store: Store, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups

    def read(self, job_id: str, cursor: Cursor, limit: int) -> Batch:
        """What is there now."""
        return self._store.read(job_id, cursor, limit)

    def wait(
        self, job_id: str, cursor: Cursor, limit: int, *, wait_s: float, linger_s: float, with_events: bool
    ) -> Batch:
        """What is there as soon as it is worth an answer, or after `wait_s` whatever there is.

        With `linger_s`, gathers that much longer after the first news, unless the end is reached.
        """
        batch = self._store.read(job_id, cursor, limit)
        if batch.is_done or (batch.is_news(with_events=with_events) and not linger_s):
            return batch
        deadline = time.monotonic() + wait_s
        with self._wakeups.subscribed(job_id, _CONFIRM_S) as woken:
            while True:
                woken.clear()
                batch = self._read_on(batch, limit, is_news=batch.is_news(with_events=with_events))
                if cursor == BEGINNING:
                    batch = replace(batch, is_reset=False)  # there is nothing to clear
                now = time.monotonic()
                if batch.is_done or len(batch.elements) >= limit:
                    return batch
                if batch.is_news(with_events=with_events):
                    deadline, linger_s = min(deadline, now + linger_s), deadline - now
                if now >= deadline or self._wakeups.is_closing or not woken.wait(deadline - now):
                    return batch

    def _read_on(self, batch: Batch, limit: int, *, is_news: bool) -> Batch:
        """What came after `batch`, behind what is worth keeping of it; without that, if the generation is another."""
        kept = batch.elements if is_news else ()
        more = self._store.read(batch.job_id, batch.cursor, max(limit - len(kept), 1))
        if more.is_reset:
            return more
        return replace(more, first=more.first - len(kept), elements=kept + more.elements, is_reset=batch.is_reset)
