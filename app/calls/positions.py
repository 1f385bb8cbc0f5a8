"""Snapshots: what many requests ask and may be a moment old, read from Redis once for all of them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from tokentail.errors import StoreUnavailable, Unreadable
from tokentail.jobs.admission import Admission
from tokentail.jobs.fleet import Fleet, Lease, Observer
from tokentail.jobs.models import ServedModel, dialect_of
from tokentail.jobs.queue import JobQueue

Value = TypeVar("Value")
Clock = Callable[[], float]

_CATALOG_S = 1.0
_OBSERVED_S = 2.0  # older observations are not used: the leases are read again
_PLACES_S = 2.0
_WANTED_S = 10.0  # a value that nobody asked for in this time is not kept fresh


class Snapshot(Generic[Value]):
    """A value that is read again when somebody asks and it is older than `kept_s`.

    One thread reads; callers that ask meanwhile receive the same result or the same error. Behind a Redis that hangs,
    one try after another would keep every thread for many timeouts.
    """

    def __init__(self, read: Callable[[], Value], kept_s: float, clock: Clock) -> None:
        self._read = read
        self._kept_s = kept_s
        self._clock = clock
        self._lock = threading.Lock()  # never held while reading
        self._reading: Future[Value] | None = None
        self._latest: tuple[float, Value] | None = None
        self._wanted_at: float | None = None

    def get(self) -> Value:
        """The value. Raises what reading it raises; a failure is kept for nobody who asks later."""
        return self._at_most(self._kept_s)

    def renew(self) -> Value:
        """The value, read now, or by the thread that is reading. Raises what reading it raises."""
        return self._at_most(0.0)

    def _at_most(self, age_s: float) -> Value:
        """The value, read again if it is older than `age_s`."""
        with self._lock:
            if self._latest is not None and self._clock() - self._latest[0] < age_s:
                return self._latest[1]
            if (shared := self._reading) is None:
                mine = self._reading = Future()
        if shared is not None:
            return shared.result()
        self._fulfil(mine)
        return mine.result()

    def _fulfil(self, reading: "Future[Value]") -> None:
        began = self._clock()
        try:
            value = self._read()
        except BaseException as error:
            with self._lock:
                self._reading = None
            reading.set_exception(error)
        else:
            with self._lock:
                self._latest, self._reading = (began, value), None
            reading.set_result(value)

    def latest(self) -> Value | None:
        """The value as it was read last, which may be a while ago; None before that. For those who must not wait."""
        self.want()
        return self._latest[1] if self._latest else None

    def want(self) -> None:
        """Have `refresh` keep it fresh for a while."""
        self._wanted_at = self._clock()

    def refresh(self) -> None:
        """Read it for those who asked since a moment ago, before it is too old for them. Raises what reading raises."""
        if self._wanted_at is not None and self._clock() - self._wanted_at < _WANTED_S:
            self._at_most(self._kept_s / 2)


class Catalog:
    """The models that can be asked for: what live workers serve, or while none lives what the last one served."""

    def __init__(self, fleet: Fleet, observer: Observer, clock: Clock) -> None:
        self._fleet = fleet
        self._observer = observer  # observed elsewhere, each second
        self._is_doubted = False  # the last observation, by somebody who was not found in it
        self._models = Snapshot(self._read, _CATALOG_S, clock)

    def models(self) -> list[ServedModel]:
        """At most a second older than what this process has observed of the workers. Raises StoreUnavailable.

        There are none only where the leases say so now.
        """
        return self._models.get() or self.renew()

    def renew(self) -> list[ServedModel]:
        """The models of the leases of now, which are not left to the last observation. Raises StoreUnavailable."""
        self._is_doubted = True
        return self._models.renew()

    def live(self) -> dict[str, Lease]:
        """The leases of the workers that live, read now. Raises StoreUnavailable."""
        dead = self._observer.dead
        return {worker: lease for worker, lease in sorted(self._fleet.leases().items()) if worker not in dead}

    def is_waited_for(self, model: str | None = None) -> bool:
        """Whether a worker has yet to come that serves `model`, or any at all."""
        live = self._observer.live
        return not live if model is None else not dialect_of(model, models_of(live))

    def _read(self) -> list[ServedModel]:
        is_doubted, self._is_doubted = self._is_doubted, False
        is_observed = not is_doubted and self._observer.looked_within(_OBSERVED_S)
        served = models_of(self._observer.live if is_observed else self.live())
        return served or self._fleet.last_catalog()


def models_of(leases: dict[str, Lease]) -> list[ServedModel]:
    """Each model once, in the workers' order of preference."""
    return list(dict.fromkeys(model for lease in leases.values() for model in lease.models))


@dataclass(frozen=True)
class QueuePosition:
    """Where a job waits."""

    before: int  # jobs that come first
    is_held: bool  # it is not in the queue yet, for its client has its share there


class QueuePositions:
    """Where jobs wait. It is a courtesy: without Redis nobody has a place."""

    def __init__(self, queue: JobQueue, admission: Admission, clock: Clock) -> None:
        self._queue = queue
        self._admission = admission
        self._places = Snapshot(self._read, _PLACES_S, clock)

    def position_of(self, job_id: str) -> QueuePosition | None:
        """The job's position, at most two seconds old; None if the job is not known to wait."""
        self._places.want()
        try:
            return self._places.get().get(job_id)
        except (StoreUnavailable, Unreadable):
            return None

    def latest(self, job_id: str) -> QueuePosition | None:
        """The job's position as it was read last; None if that is not known. Reads nothing itself."""
        return (self._places.latest() or {}).get(job_id)

    def refresh(self) -> None:
        """Keep the latest positions fresh while they are asked for. Call it each second. Raises StoreUnavailable."""
        self._places.refresh()

    def counts(self) -> tuple[int, int]:
        """Jobs in the queue and jobs held out of it, at most two seconds ago. Raises StoreUnavailable."""
        positions = self._places.get()
        held = sum(place.is_held for place in positions.values())
        return len(positions) - held, held

    def _read(self) -> dict[str, QueuePosition]:
        entered, queue = self._admission.entered(), self._queue.waiting()
        held: dict[str, list[str]] = {}
        for job_id, client in entered.held.items():
            held.setdefault(client, []).append(job_id)
        admitted: dict[str, list[str]] = {}
        # Running jobs are likely to end before those that are still in the queue.
        for job_id in sorted(entered.admitted, key=lambda job_id: queue.get(job_id, -1)):
            admitted.setdefault(entered.admitted[job_id], []).append(job_id)
        # Each waits for jobs of its own client; those in the queue may come first, too.
        positions = {
            job_id: QueuePosition(len(queue) + rank, is_held=True)
            for of_client in self._admission.in_turn(held, admitted).values()
            for rank, job_id in enumerate(of_client)
        }
        return positions | {job_id: QueuePosition(before, is_held=False) for job_id, before in queue.items()}
