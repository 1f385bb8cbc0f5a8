"""The fleet: which workers live, and what they serve.

A worker process has one lease, a counter that it raises. Nobody trusts a clock for it: an observer calls a worker dead
when it saw the counter stand still for a whole lease, during which all of its own reads succeeded, and promptly. An
outage of Redis, or a Redis that hangs, therefore kills nobody.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from tokentail.identifiers import worker_in
from tokentail.jobs.body import prepared
from tokentail.jobs.models import ServedModel
from tokentail.redis import keys, scripts
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.mending import expel, mended

log = logging.getLogger(__name__)

# The sweep goes round among all processes: one that suspects an attempt may be asked again only after many turns.
_SUSPECT_FOR_S = 3600.0
_MOST_SUSPECTS = 20_000  # those of an hour of busy workers; of more, the oldest are asked about anew
_PROMPT = 4  # a read that takes more than this part of a lease proves nothing about the time before it

_PACE_S = 30.0  # over how long the pace is taken
_SPOILT = 2  # a turn that was taken from a key that no sweep had written

Value = TypeVar("Value")


FORMAT = 1  # of the leases that this version writes and reads


class Lease(msgspec.Struct, frozen=True):
    """What a worker publishes about itself with every beat."""

    counter: int
    slots: Annotated[int, msgspec.Meta(ge=0)]  # jobs it can hold at once
    attempts: list[str]  # those that hold a job now
    models: list[ServedModel]  # in order of preference: the first is the default
    ended: int = 0  # jobs that it has seen to their end so far
    format: int = FORMAT


@dataclass(frozen=True)
class Leases:
    """Every worker that has not left, alive or not."""

    readable: dict[str, Lease]
    unreadable: dict[str, int]  # worker → what changes with the bytes of its lease: another version's, or garbage


class Fleet:
    """The leases, in Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._catalog: list[ServedModel] = []  # the last one that could be read
        self._is_catalog_told = False

    def beat(self, worker: str, lease: Lease) -> None:
        """Raise this worker's lease, and keep its models for the time in which no worker is alive."""

        def raise_lease() -> None:
            pipe = self._client.pipeline(transaction=False)
            pipe.execute_command(*scripts.vital(keys.WORKERS, "HSET", worker, msgspec.json.encode(lease)))
            pipe.execute_command(*scripts.vital(keys.CATALOG, "SET", msgspec.json.encode(lease.models)))
            pipe.execute()

        self._mended(keys.WORKERS, "hash", raise_lease)

    def leave(self, worker: str) -> None:
        """Forget a worker that has ended or was found dead."""
        self._mended(keys.WORKERS, "hash", lambda: self._client.hdel(keys.WORKERS, worker))

    def forget_all(self) -> None:
        """Forget every worker. The caller must know that none is alive."""
        with redis_errors():
            self._client.delete(keys.WORKERS)

    def leases(self) -> dict[str, Lease]:
        """The leases that this version can read."""
        return self.read().readable

    def read(self) -> Leases:
        """Every lease. A field that cannot be a worker's name is removed."""
        written = self._mended(keys.WORKERS, "hash", lambda: self._client.hgetall(keys.WORKERS))
        if foreign := [field for field in written if not worker_in(field)]:
            with redis_errors(keys.WORKERS):
                expel(self._client, keys.WORKERS, "hash", foreign)
        leases = Leases({}, {})
        for field, content in written.items():
            if worker := worker_in(field):
                lease = _decoded(content, Lease)
                if lease is None or lease.format > FORMAT:
                    leases.unreadable[worker] = hash(content)
                else:
                    leases.readable[worker] = lease
        return leases

    def last_catalog(self) -> list[ServedModel]:
        """What the worker that beat last serves; empty if there never was one.

        Where that cannot be read, as a later version's may be, it is what this process could read last.
        """
        content = self._mended(keys.CATALOG, "string", lambda: self._client.get(keys.CATALOG))
        models = _decoded(content, list[ServedModel]) if content else []
        if models is not None:
            self._catalog, self._is_catalog_told = models, False
        elif not self._is_catalog_told:
            log.warning("catalog.unreadable", extra={"key": keys.CATALOG})
            self._is_catalog_told = True
        return self._catalog

    def take_sweep_turn(self, ttl_ms: int) -> bool:
        """Whether this process is the one that sweeps for the next `ttl_ms`."""
        command = scripts.take_turn(ttl_ms)
        with redis_errors(keys.SWEEP_TURN):
            turn = command.decode(self._client.eval(command.script.source, 1, *command.keys, *command.args))
        if turn == _SPOILT:
            log.warning("key.replaced", extra={"key": keys.SWEEP_TURN})
        return turn > 0

    def _mended(self, key: str, kind: str, call: Callable[[], Value]) -> Value:
        with redis_errors(key):
            return mended(self._client, {key: kind}, call)


prepared(Lease)
prepared(ServedModel)


def _decoded(content: bytes, kind: type[Value]) -> Value | None:
    """The decoded content; None where it cannot be read."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class Observer:
    """One process's own view of which workers are alive. Call `observe` at least once a second."""

    def __init__(self, fleet: Fleet, lease_s: float, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._lease_s = lease_s
        self._clock = clock
        self._looked_at = clock()  # when the last read that counts was asked for
        self._seen: dict[str, tuple[int, float]] = {}  # worker → its counter (or mark), and when that was first seen
        self.live: dict[str, Lease] = {}
        self.dead: frozenset[str] = frozenset()
        self._unreadable: frozenset[str] = frozenset()  # workers that may live, and whose attempts are unknown
        self._held: set[str] = set()
        self._unheld: dict[str, float] = {}  # attempt that no lease names → when that was first noticed
        self._ended: dict[str, int] = {}  # worker → jobs that it had ended when it was last seen
        self._ends: deque[tuple[float, int]] = deque()  # when it was seen that jobs had ended, and how many
        self._began = clock()

    @property
    def ended_per_s(self) -> float:
        """Jobs that all workers together saw to their end, a second, lately."""
        watched_s = min(self._clock() - self._began, _PACE_S)
        return sum(count for _, count in self._ends) / watched_s if watched_s > 0 else 0.0

    def looked_within(self, seconds: float) -> bool:
        """Whether the last read that counts is at most so old."""
        return self._clock() - self._looked_at <= seconds

    def observe(self) -> None:
        """Read the leases. After one that failed or hung every wait begins anew: beats may have hung, too."""
        asked_at = self._clock()
        try:
            leases = self._fleet.read()
        except Exception:
            self._begin_anew()
            raise
        now = self._clock()
        if now - asked_at > self._lease_s / _PROMPT:
            self._begin_anew()
            asked_at = now
        self._looked_at = asked_at
        marks = {worker: lease.counter for worker, lease in leases.readable.items()} | leases.unreadable
        self._seen = {
            worker: seen if (seen := self._seen.get(worker)) and seen[0] == mark else (mark, now)
            for worker, mark in marks.items()
        }
        self.dead = frozenset(w for w, (_, since) in self._seen.items() if asked_at - since >= self._lease_s)
        self.live = {worker: lease for worker, lease in leases.readable.items() if worker not in self.dead}
        self._note_unreadable(frozenset(leases.unreadable) - self.dead)
        self._note_ends(now)
        self._held = {attempt for lease in self.live.values() for attempt in lease.attempts}
        self._unheld = {
            attempt: since
            for attempt, since in self._unheld.items()
            if attempt not in self._held and now - since < _SUSPECT_FOR_S
        }

    def _note_unreadable(self, workers: frozenset[str]) -> None:
        if new := workers - self._unreadable:
            log.warning("lease.unreadable", extra={"key": keys.WORKERS, "leases": len(new)})
        self._unreadable = workers

    def _note_ends(self, now: float) -> None:
        ended = {worker: lease.ended for worker, lease in self.live.items()}
        count = sum(max(total - self._ended.get(worker, total), 0) for worker, total in ended.items())
        self._ended = ended
        self._ends.append((now, count))
        while self._ends[0][0] < now - _PACE_S:
            self._ends.popleft()

    def is_lost(self, worker: str, attempt: str) -> bool:
        """Whether no worker runs a job any more that, by its record, `attempt` of `worker` holds.

        Its worker is dead; or no lease has named the attempt for a whole lease. It may just have begun, and the lease
        not yet have it; or its worker learned that it had lost the job, and then the store forgot who had it instead.
        A worker whose lease cannot be read and changes is of a later version: it holds whatever names it.
        """
        if worker in self.dead:
            return True
        if attempt in self._held or worker in self._unreadable:
            return False
        if len(self._unheld) >= _MOST_SUSPECTS and attempt not in self._unheld:
            del self._unheld[next(iter(self._unheld))]
        # Time passes only with looks that count: the caller's own reads may just have hung.
        return self._looked_at - self._unheld.setdefault(attempt, self._clock()) >= self._lease_s

    def _begin_anew(self) -> None:
        self._seen.clear()
        self._unheld.clear()
        self.dead = frozenset()
