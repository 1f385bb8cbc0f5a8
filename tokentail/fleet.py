"""The fleet: which workers live, and what they serve.

A worker process has one lease, a counter that it raises. Nobody trusts a clock for it: an observer calls a worker dead
when it saw the counter stand still for a whole lease, during which all of its own reads succeeded, and promptly. An
outage of Redis, or a Redis that hangs, therefore kills nobody.
"""

import logging
from collections import deque
from collections.abc import Callable

import msgspec

from tokentail import commands
from tokentail.catalog import ServedModel
from tokentail.store import RedisClient, redis_errors

log = logging.getLogger(__name__)

# The sweep goes round among all processes: one that suspects an attempt may be asked again only after many turns.
_SUSPECT_FOR_S = 3600.0
_PROMPT = 4  # a read that takes more than this part of a lease says nothing of the time before it

_PACE_S = 30.0  # over how long the pace is taken


class Lease(msgspec.Struct, frozen=True):
    """What a worker says of itself with every beat."""

    counter: int
    slots: int  # jobs it can hold at once
    attempts: list[str]  # those that hold a job now
    models: list[ServedModel]  # in order of preference: the first is the default
    ended: int = 0  # jobs that it has seen to their end so far


class Fleet:
    """The leases, in Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def beat(self, worker: str, lease: Lease) -> None:
        """Raise this worker's lease, and leave its models for when nobody lives."""
        with redis_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.execute_command(*commands.vital(commands.WORKERS, "HSET", worker, msgspec.json.encode(lease)))
            pipe.execute_command(*commands.vital(commands.CATALOG, "SET", msgspec.json.encode(lease.models)))
            pipe.execute()

    def leave(self, worker: str) -> None:
        """Forget a worker: it has gone, or was found dead."""
        with redis_errors():
            self._client.hdel(commands.WORKERS, worker)

    def forget_all(self) -> None:
        """Forget every worker. Only for who knows that none lives."""
        with redis_errors():
            self._client.delete(commands.WORKERS)

    def leases(self) -> dict[str, Lease]:
        """Every worker that has not left, alive or not; one whose lease cannot be read is as one that has none."""
        with redis_errors():
            written = self._client.hgetall(commands.WORKERS)
        leases = {}
        for worker, lease in written.items():
            try:
                leases[worker.decode()] = msgspec.json.decode(lease, type=Lease)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.debug("lease.unreadable", extra={"error": type(error).__name__})
        return leases

    def last_catalog(self) -> list[ServedModel]:
        """What the worker that beat last serves; empty if there never was one."""
        with redis_errors():
            models = self._client.get(commands.CATALOG)
        return msgspec.json.decode(models, type=list[ServedModel]) if models else []

    def take_sweep_turn(self, ttl_ms: int) -> bool:
        """Whether this process is the one that sweeps for the next `ttl_ms`."""
        with redis_errors():
            return bool(
                self._client.execute_command(*commands.vital(commands.SWEEP_TURN, "SET", 1, "NX", "PX", ttl_ms))
            )


class Observer:
    """One process's own view of who lives. Call `observe` at least once a second."""

    def __init__(self, fleet: Fleet, lease_s: float, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._lease_s = lease_s
        self._clock = clock
        self._looked_at = clock()  # when the last read that counts was asked for
        self._seen: dict[str, tuple[int, float]] = {}  # worker → its counter, and when that was first seen
        self.live: dict[str, Lease] = {}
        self.dead: frozenset[str] = frozenset()
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

    def observe(self) -> None:
        """Read the leases. After one that failed or hung every wait begins anew: beats may have hung, too."""
        asked_at = self._clock()
        try:
            leases = self._fleet.leases()
        except Exception:
            self._begin_anew()
            raise
        now = self._clock()
        if now - asked_at > self._lease_s / _PROMPT:
            self._begin_anew()
            asked_at = now
        self._looked_at = asked_at
        self._seen = {
            worker: seen if (seen := self._seen.get(worker)) and seen[0] == lease.counter else (lease.counter, now)
            for worker, lease in leases.items()
        }
        self.dead = frozenset(w for w, (_, since) in self._seen.items() if asked_at - since >= self._lease_s)
        self.live = {worker: lease for worker, lease in leases.items() if worker not in self.dead}
        self._note_ends(now)
        self._held = {attempt for lease in self.live.values() for attempt in lease.attempts}
        self._unheld = {
            attempt: since
            for attempt, since in self._unheld.items()
            if attempt not in self._held and now - since < _SUSPECT_FOR_S
        }

    def _note_ends(self, now: float) -> None:
        ended = {worker: lease.ended for worker, lease in self.live.items()}
        count = sum(max(total - self._ended.get(worker, total), 0) for worker, total in ended.items())
        self._ended = ended
        self._ends.append((now, count))
        while self._ends[0][0] < now - _PACE_S:
            self._ends.popleft()

    def is_lost(self, worker: str, attempt: str) -> bool:
        """Whether nobody works on a job any more that `attempt` of `worker` holds, by its record.

        Its worker is dead; or no lease has named the attempt for a whole lease. It may just have begun, and the lease
        not yet say so; or its worker was told that it lost the job, and then the store forgot who had it instead.
        """
        if worker in self.dead:
            return True
        if attempt in self._held:
            return False
        # Time passes only with looks that count: the caller's own reads may just have hung.
        return self._looked_at - self._unheld.setdefault(attempt, self._clock()) >= self._lease_s

    def _begin_anew(self) -> None:
        self._seen.clear()
        self._unheld.clear()
        self.dead = frozenset()
