"""The webhooks' part of the sweep: what is due is put into its queue, at most so much of it at once."""

from tokentail.jobs.queue import JobQueue
from tokentail.redis.store import Store

_MOST_WAITING = 1000  # so that the queue stays short enough to be read in each sweep


class WebhookSweep:
    """Enqueues the webhooks that are due. RQ carries the job's id; what is due stands in the store alone."""

    def __init__(self, store: Store, queue: JobQueue, try_s: float) -> None:
        """`try_s` is the longest that one try takes."""
        self._store = store
        self._queue = queue
        self._hold_ms = hold_ms(try_s)

    def enqueue_due(self, now_ms: int) -> None:
        """Enqueue what is due and waits in no queue. Raises StoreUnavailable, StoreFull.

        A webhook whose worker was killed is due again once it was held for longer than a try takes.
        """
        waiting = self._queue.waiting()
        due = [i for i in self._store.due_webhooks(now_ms, _MOST_WAITING) if i not in waiting]
        due = due[: max(_MOST_WAITING - len(waiting), 0)]
        for job_id in due:
            self._queue.enqueue(job_id, now_ms)  # a number that no earlier enqueue had
        self._store.hold_webhooks(due, now_ms + self._hold_ms)


def hold_ms(try_s: float) -> int:
    """How long a webhook that is being tried is nobody else's to try."""
    return int(try_s * 1000) + 5000
