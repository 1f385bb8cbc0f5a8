"""The readers of a process: which jobs are being read, told to the store at a low rate. Safe to share between threads.

The store keeps it only of jobs that end when no reader is left (`on_abandon`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

_EVERY_S = 2.0


class Readers:
    """Notes reads and waits; `tell` passes them on. No lock: a native thread and greenlets of gevent both note."""

    def __init__(self, mark_read: Callable[[Sequence[str]], None], clock: Callable[[], float]) -> None:
        self._mark_read = mark_read
        self._clock = clock
        self._due_at = 0.0
        self._noted: deque[Iterable[str]] = deque()  # since it was last told; adding and taking are atomic

    def note(self, job_ids: Iterable[str]) -> None:
        """These jobs were read, or are waited for."""
        self._noted.append(job_ids)

    def tell(self) -> None:
        """Pass on which jobs have readers, if two seconds have passed. Raises StoreUnavailable, StoreFull."""
        if self._clock() < self._due_at:
            return
        job_ids: set[str] = set()
        while self._noted:
            job_ids.update(self._noted.popleft())
        self._due_at = self._clock() + _EVERY_S
        self._mark_read(sorted(job_ids))
