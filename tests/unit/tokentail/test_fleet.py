"""The observer: a worker is dead when its lease stood still for a whole lease during which every read succeeded."""

from collections.abc import Callable

import pytest

from tokentail.catalog import ServedModel
from tokentail.commands import WORKERS
from tokentail.errors import StoreUnavailable
from tokentail.fleet import Fleet, Lease, Observer
from tokentail.store import RedisClient

LEASE_S = 6.0


class PlainFleet(Fleet):
    """Leases in a dictionary; `is_away` is an outage of Redis."""

    def __init__(self) -> None:
        super().__init__(client=None)
        self.counters: dict[str, int] = {}
        self.attempts: dict[str, list[str]] = {}
        self.is_away = False
        self.hang: Callable[[], None] = lambda: None  # called within every read

    def leases(self) -> dict[str, Lease]:
        self.hang()
        if self.is_away:
            raise StoreUnavailable(StoreUnavailable.__doc__)
        return {
            worker: Lease(counter, 8, self.attempts.get(worker, []), []) for worker, counter in self.counters.items()
        }


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


def test_a_lease_that_cannot_be_read_is_nobodys(real_client: RedisClient) -> None:
    """One entry that somebody else wrote must not end every worker that looks at the leases."""
    fleet = Fleet(real_client)
    fleet.beat("w1", Lease(1, 8, [], []))
    real_client.hset(WORKERS, mapping={b"w2": b"{", b"\xff": b"{}", b"w3": b'{"counter": "x"}'})
    assert set(fleet.leases()) == {"w1"}


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
    """It was paused; what it held is another matter."""
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
    """Its clock went on while it could not look: that the worker was silent meanwhile is not known."""
    scene.look_for(1)
    assert not scene.observer.is_lost("unknown", "attempt")
    scene.now_s += 100
    assert not scene.observer.is_lost("unknown", "attempt")


def test_who_holds_a_job_without_a_lease_has_the_time_of_one(scene: Scene) -> None:
    """It may just have come, or it left."""
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


def test_a_lease_that_comes_in_time_ends_that_wait(scene: Scene) -> None:
    """And when it goes, a new one begins."""
    assert not scene.observer.is_lost("w1", "attempt")
    scene.look_for(4)
    scene.fleet.attempts["w1"] = ["attempt"]
    scene.look_for(10, "w1")
    assert not scene.observer.is_lost("w1", "attempt")
    del scene.fleet.counters["w1"]
    scene.look_for(1)
    assert not scene.observer.is_lost("w1", "attempt")


def test_a_pattern_names_every_model_with_its_beginning() -> None:
    """And a plain name only itself."""
    pattern, plain = ServedModel("openai/*", "openai", "d"), ServedModel("demo", "demo", "d")
    assert pattern.is_named("openai/gpt-5")
    assert not pattern.is_named("open")
    assert plain.is_named("demo")
    assert not plain.is_named("demo2")
