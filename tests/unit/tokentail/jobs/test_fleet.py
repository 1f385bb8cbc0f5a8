"""The observer: a worker is dead when its lease stood still for a whole lease during which every read succeeded."""

from collections.abc import Callable

import msgspec
import pytest

from tests import foreign_content
from tests.held import held_by
from tokentail.errors import StoreUnavailable
from tokentail.jobs.fleet import FORMAT, Fleet, Lease, Leases, Observer
from tokentail.jobs.models import ServedModel
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import CATALOG, SWEEP_TURN, WORKERS

LEASE_S = 6.0


class PlainFleet(Fleet):
    """Leases in a dictionary; `is_away` is an outage of Redis."""

    def __init__(self) -> None:
        super().__init__(client=None)
        self.counters: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}
        self.attempts: dict[str, list[str]] = {}
        self.is_away = False
        self.hang: Callable[[], None] = lambda: None  # called within every read

    def read(self) -> Leases:
        self.hang()
        if self.is_away:
            raise StoreUnavailable(StoreUnavailable.__doc__)
        readable = {
            worker: Lease(counter, 8, self.attempts.get(worker, []), []) for worker, counter in self.counters.items()
        }
        return Leases(readable, dict(self.unreadable))


class Scene:
    """A fleet, its observer and a clock."""

    def __init__(self) -> None:
        self.fleet = PlainFleet()
        self.now_s = 1000.0
        self.observer = Observer(self.fleet, LEASE_S, lambda: self.now_s)

    def look_for(self, seconds: int, *beating: str) -> None:
        """Observe once a second, `beating` raising their leases."""
        for _ in range(seconds):
            for worker in beating:
                self.fleet.counters[worker] = self.fleet.counters.get(worker, 0) + 1
            try:
                self.observer.observe()
            except StoreUnavailable:
                assert self.fleet.is_away
            self.now_s += 1


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_lease_that_cannot_be_read_is_told_apart(real_client: RedisClient) -> None:
    """One entry of another version must not end every worker that looks; a field that names no worker is removed."""
    fleet = Fleet(real_client)
    fleet.beat("w1", Lease(1, 8, [], []))
    later = msgspec.json.encode(Lease(1, 8, [], [], format=FORMAT + 1))
    foreign = {b"\xff": b"{}", b"": b"{}", b"x" * 2000: b"{}"}
    real_client.hset(WORKERS, mapping={b"w2": b"{", b"w3": b'{"counter": "x"}', b"w4": later, **foreign})
    leases = fleet.read()
    assert set(leases.readable) == set(fleet.leases()) == {"w1"}
    assert set(leases.unreadable) == {"w2", "w3", "w4"}
    assert set(real_client.hkeys(WORKERS)) == {b"w1", b"w2", b"w3", b"w4"}


def test_a_lease_without_a_format_is_of_the_first(real_client: RedisClient) -> None:
    """Workers of the version before wrote none."""
    real_client.hset(WORKERS, "w1", b'{"counter":1,"slots":8,"attempts":[],"models":[],"ended":0}')
    assert Fleet(real_client).leases() == {"w1": Lease(1, 8, [], [])}


def test_a_later_versions_lease_that_changes_belongs_to_a_living_worker(scene: Scene) -> None:
    """An older observer does not know its attempts, and takes none of its jobs from it, however long."""
    for mark in range(60):
        scene.fleet.unreadable["later"] = mark
        scene.look_for(1)
        assert not scene.observer.is_lost("later", "attempt")
    assert (scene.observer.dead, scene.observer.live) == (frozenset(), {})


def test_an_unreadable_lease_that_stands_still_is_dead(scene: Scene) -> None:
    """After the time of a lease, like any other."""
    scene.fleet.unreadable["later"] = 1
    scene.look_for(6)
    assert not scene.observer.is_lost("later", "attempt")
    scene.look_for(1)
    assert scene.observer.is_lost("later", "attempt")
    assert scene.observer.dead == {"later"}


@pytest.mark.parametrize("spoilt", [b"\xff", b"{}", b'[{"name": 1}]', b'{"format": 2, "models": []}', b"[" * 100_000])
def test_an_unreadable_catalog_leaves_the_last_readable_one(real_client: RedisClient, spoilt: bytes) -> None:
    """A later version's lease, for example: it is logged once, and a readable one replaces it."""
    fleet = Fleet(real_client)
    served = [ServedModel("demo", "demo", "demo")]
    fleet.beat("w1", Lease(1, 8, [], served))
    assert fleet.last_catalog() == served
    real_client.set(CATALOG, spoilt)
    assert fleet.last_catalog() == served
    assert Fleet(real_client).last_catalog() == []
    fleet.beat("w1", Lease(2, 8, [], []))
    assert fleet.last_catalog() == []


@pytest.mark.parametrize("kind", ["list", "set", "zset", "string"])
def test_leases_and_catalog_of_the_wrong_type_are_dropped(real_client: RedisClient, kind: str) -> None:
    """The next beat and the next look find them as they should be."""
    fleet = Fleet(real_client)
    for key in (WORKERS, CATALOG):
        foreign_content.replace(real_client, key, kind, b"x")
    assert fleet.leases() == {}
    assert fleet.last_catalog() == []
    foreign_content.replace(real_client, WORKERS, kind, b"x")
    fleet.beat("w1", Lease(1, 8, [], []))
    assert set(fleet.leases()) == {"w1"}


def test_a_spoilt_turn_keeps_nobody_from_sweeping(real_client: RedisClient) -> None:
    """A key without an expiry, or of another type, is nobody's turn; a real turn is."""
    fleet = Fleet(real_client)
    for kind in ("string", "list", "hash"):
        foreign_content.replace(real_client, SWEEP_TURN, kind, b"x")
        assert fleet.take_sweep_turn(60_000)
        assert not fleet.take_sweep_turn(60_000)


def test_a_worker_that_beats_lives(scene: Scene) -> None:
    """For as long as it does."""
    scene.look_for(60, "w1")
    assert set(scene.observer.live) == {"w1"}
    assert scene.observer.dead == frozenset()
    assert not scene.observer.is_lost("w1", "attempt")


def test_a_worker_that_stands_still_for_a_lease_is_dead(scene: Scene) -> None:
    """Not a second before."""
    scene.look_for(3, "w1", "w2")
    scene.look_for(5, "w2")
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(1, "w2")
    assert scene.observer.is_lost("w1", "attempt")
    assert scene.observer.dead == {"w1"}
    assert set(scene.observer.live) == {"w2"}


def test_a_worker_that_beats_again_lives_again(scene: Scene) -> None:
    """The worker was paused; whether it lost its jobs is decided elsewhere."""
    scene.look_for(1, "w1")
    scene.look_for(10)
    assert scene.observer.is_lost("w1", "attempt")
    scene.look_for(1, "w1")
    assert not scene.observer.is_lost("w1", "attempt")
    assert set(scene.observer.live) == {"w1"}


def test_an_outage_of_redis_kills_nobody(scene: Scene) -> None:
    """Nobody could beat, and nobody could look: the wait begins anew with the first read that succeeds."""
    scene.look_for(3, "w1")
    scene.look_for(5)
    scene.fleet.is_away = True
    scene.look_for(100)
    scene.fleet.is_away = False
    scene.look_for(6)
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(1)
    assert scene.observer.is_lost("w1", "attempt")


def test_an_outage_in_between_starts_every_wait_anew(scene: Scene) -> None:
    """One read that failed is enough, for workers without a lease too."""
    scene.look_for(1, "w1")
    assert not scene.observer.is_lost("unknown", "attempt")
    scene.look_for(5)
    scene.fleet.is_away = True
    scene.look_for(1)
    scene.fleet.is_away = False
    scene.look_for(5)
    assert not scene.observer.is_lost("w1", "attempt")
    assert not scene.observer.is_lost("unknown", "attempt")


def test_a_redis_that_hangs_kills_nobody(scene: Scene) -> None:
    """The read came through at last, and so will the beats that hung beside it: the wait begins with its end."""
    scene.look_for(3, "w1")
    scene.look_for(1)
    assert not scene.observer.is_lost("unknown", "attempt")

    def hang() -> None:
        scene.now_s += 10

    scene.fleet.hang = hang
    scene.look_for(1)
    scene.fleet.hang = lambda: None
    assert not scene.observer.is_lost("w1", "attempt")
    assert not scene.observer.is_lost("unknown", "attempt")
    scene.look_for(5)
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(1)
    assert scene.observer.is_lost("w1", "attempt")


def test_the_caller_who_hung_takes_nobody_for_lost(scene: Scene) -> None:
    """The observer's clock went on while it could not look, so it cannot know that the worker was silent meanwhile."""
    scene.look_for(1)
    assert not scene.observer.is_lost("unknown", "attempt")
    scene.now_s += 100
    assert not scene.observer.is_lost("unknown", "attempt")


def test_who_holds_a_job_without_a_lease_has_the_time_of_one(scene: Scene) -> None:
    """A holder that no lease names may just have begun, or its worker has left."""
    scene.look_for(1)
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(6)
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(1)
    assert scene.observer.is_lost("w1", "attempt")


def test_a_suspicion_outlives_many_turns_of_the_sweep(scene: Scene) -> None:
    """Among fifty processes, one sweeps every hundred seconds: it must not begin to suspect anew each time."""
    scene.look_for(1, "w1")
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(100, "w1")
    assert scene.observer.is_lost("w1", "attempt")


def test_suspicions_are_bounded_in_number(scene: Scene) -> None:
    """Jobs that ended between two beats leave one each; of too many, those are dropped that are the oldest."""
    scene.look_for(1)
    before = held_by(scene.observer)
    for i in range(50_000):
        scene.observer.is_lost("w1", f"attempt-{i}")
    assert held_by(scene.observer) < before + 3 * 20_001
    scene.look_for(8)
    assert scene.observer.is_lost("w1", "attempt-49999")
    assert not scene.observer.is_lost("w1", "attempt-0")


def test_a_lease_that_comes_in_time_ends_that_wait(scene: Scene) -> None:
    """When the attempt is missing from the leases again, a new wait begins."""
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(4)
    scene.fleet.attempts["w1"] = ["attempt"]
    scene.look_for(10, "w1")
    assert not scene.observer.is_lost("w1", "attempt")
    del scene.fleet.counters["w1"]
    scene.look_for(1)
    assert not scene.observer.is_lost("w1", "attempt")


def test_a_pattern_names_every_model_with_its_beginning() -> None:
    """A plain name covers only itself."""
    pattern, plain = ServedModel("openai/*", "openai", "d"), ServedModel("demo", "demo", "d")
    assert pattern.is_named("openai/gpt-5")
    assert not pattern.is_named("open")
    assert plain.is_named("demo")
    assert not plain.is_named("demo2")
