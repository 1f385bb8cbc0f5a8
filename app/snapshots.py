"""Snapshots: what many requests ask and may be a moment old, read from Redis once for all of them."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from tokentail.catalog import ServedModel
from tokentail.errors import StoreUnavailable
from tokentail.fleet import Fleet, Lease, Observer
from tokentail.queue import JobQueue

Value = TypeVar("Value")
Clock = Callable[[], float]

_CATALOG_S = 1.0
_PLACES_S = 2.0


class Snapshot(Generic[Value]):
    """A value that is read again when somebody asks and it is older than `kept_s`; one thread reads, others wait."""

    def __init__(self, read: Callable[[], Value], kept_s: float, clock: Clock) -> None:
        self._read = read
        self._kept_s = kept_s
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: tuple[float, Value] | None = None

    def get(self) -> Value:
        """The value. Raises what reading it raises; a failure is not kept."""
        with self._lock:
            if self._latest is None or self._clock() - self._latest[0] >= self._kept_s:
                self._latest = (self._clock(), self._read())
            return self._latest[1]


class Catalog:
    """The models that can be asked for: what live workers serve, or while none lives what the last one served."""

    def __init__(self, fleet: Fleet, observer: Observer, clock: Clock) -> None:
        self._fleet = fleet
        self._observer = observer  # observed elsewhere, each second
        self._models = Snapshot(self._read, _CATALOG_S, clock)

    def models(self) -> list[ServedModel]:
        """At most a second old. Raises StoreUnavailable."""
        return self._models.get()

    def live(self) -> dict[str, Lease]:
        """The leases of the workers that live, read now. Raises StoreUnavailable."""
        dead = self._observer.dead
        return {worker: lease for worker, lease in sorted(self._fleet.leases().items()) if worker not in dead}

    def _read(self) -> list[ServedModel]:
        served = models_of(self.live())
        return served or self._fleet.last_catalog()


def models_of(leases: dict[str, Lease]) -> list[ServedModel]:
    """Each model once, in the workers' order of preference."""
    return list(dict.fromkeys(model for lease in leases.values() for model in lease.models))


class Places:
    """Where jobs stand in the queue. It is a courtesy: without the queue's Redis nobody has a place."""

    def __init__(self, queue: JobQueue, clock: Clock) -> None:
        self._waiting = Snapshot(queue.waiting, _PLACES_S, clock)

    def place_of(self, job_id: str) -> int | None:
        """How many jobs are before it, at most two seconds ago; None when it is not known to be in the queue."""
        try:
            return self._waiting.get().get(job_id)
        except StoreUnavailable:
            return None


class Seats:
    """How many requests may wait at once, so that waiting never takes the last thread from those who only ask."""

    def __init__(self, threads: int) -> None:
        self.free = max(threads - 8, threads // 2)
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there was a free seat; who took one gives it back with `leave`."""
        with self._lock:
            is_free = self.free > 0
            self.free -= is_free
        return is_free

    def leave(self) -> None:
        with self._lock:
            self.free += 1
