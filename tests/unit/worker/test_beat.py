"""The beat: a worker's lease is raised by one beat at a time, and taken back after the last of them."""

from typing import Any

import fakeredis
import gevent
import pytest
from gevent.event import Event

from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.jobs.fleet import Fleet, Lease
from tokentail.redis.backend import Backend, wire
from worker.dialects.registry import Registry
from worker.main import Beat
from worker.running.runner import Runner


class SlowFleet(Fleet):
    """Leases that take as long to be raised as a test wants."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.is_asked = Event()
        self.may_answer = Event()
        self.is_away = False

    def beat(self, worker: str, lease: Lease) -> None:
        self.is_asked.set()
        self.may_answer.wait()
        if self.is_away:
            raise StoreUnavailable(StoreUnavailable.__doc__)
        super().beat(worker, lease)


class Process:
    """A worker process's beat, and the fleet that it belongs to."""

    def __init__(self, client: Any) -> None:
        settings = load_settings({})
        backend = wire(client, client, settings)
        self.fleet = SlowFleet(client)
        backend = Backend(**{**vars(backend), "fleet": self.fleet})
        transport: Any = None
        self.runner = Runner("worker-1", settings, backend, Registry([]), transport)
        self.beat = Beat(self.runner, backend, [], 8)


@pytest.fixture
def process() -> Process:
    return Process(fakeredis.FakeRedis(server=fakeredis.FakeServer()))


def test_a_beat_under_way_does_not_bring_a_worker_back_that_has_left(process: Process) -> None:
    """Else its lease would stand for a worker that is gone, until it runs out."""
    beating = gevent.spawn(process.beat.beat)
    process.fleet.is_asked.wait()
    leaving = gevent.spawn(process.beat.stop)
    gevent.sleep(0)
    process.fleet.may_answer.set()
    gevent.joinall([beating, leaving], timeout=10, raise_error=True)
    assert leaving.ready()
    assert process.fleet.leases() == {}


def test_a_beat_that_waits_for_its_turn_is_none_after_the_stop(process: Process) -> None:
    """However many greenlets beat."""
    beating = [gevent.spawn(process.beat.beat) for _ in range(3)]
    process.fleet.is_asked.wait()
    leaving = gevent.spawn(process.beat.stop)
    gevent.sleep(0)
    process.fleet.may_answer.set()
    gevent.joinall([*beating, leaving], timeout=10, raise_error=True)
    process.beat.beat()
    assert process.fleet.leases() == {}


def test_a_beat_that_fails_keeps_no_worker_from_leaving(process: Process) -> None:
    """An outage ends, and the lease of a worker that is gone must not be there then."""
    process.fleet.may_answer.set()
    process.beat.beat()
    assert list(process.fleet.leases()) == ["worker-1"]
    process.fleet.is_away = True
    with pytest.raises(StoreUnavailable):
        process.beat.beat()
    process.beat.stop()
    assert process.fleet.leases() == {}
