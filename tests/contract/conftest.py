"""Fixtures of the contract: one job, over each store; and a house of each binding."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import fakeredis
import gevent
import pytest

from tests.conftest import MakeBackend
from tests.contract.runner_house import BuildRunner, RunnerHouse
from tests.contract.single_job import SingleJob
from tests.http_house import HttpHouse, MakeHouse, open_house
from tests.loopback import LoopThread
from tokentail.backend import Backend, wire
from tokentail.settings import load_settings
from worker.chunk import Chunk
from worker.meters import Meters


@pytest.fixture
def job(backend: Backend) -> SingleJob:
    """A job that was just created, over each store."""
    return SingleJob(backend)


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    """The loop of all read planes here."""
    with LoopThread() as thread:
        yield thread


# The read plane is not asked over fakeredis: that one wakes coroutines from the thread that publishes, which no event
# loop hears.
@pytest.fixture(params=["flask-fakeredis", "flask-valkey", "plane-valkey"])
def make_house(request: pytest.FixtureRequest) -> Iterator[MakeHouse]:
    """`make_house(TOKENTAIL_API_KEYS="k", …)`: a house of each binding, over each store that it can be asked over."""
    binding, store = request.param.split("-")
    loop_thread = request.getfixturevalue("loop_thread") if binding == "plane" else None
    with ExitStack() as stack:
        if store == "valkey":
            client, url = request.getfixturevalue("real_client"), request.getfixturevalue("valkey_url")
        else:
            client, url = fakeredis.FakeRedis(server=fakeredis.FakeServer()), ""
            stack.callback(client.close)

        def make(*, has_worker: bool = True, **environment: str) -> HttpHouse:
            backend = wire(client, client, load_settings(environment))
            house = open_house(backend, loop_thread, url, has_worker=has_worker, is_timeless=False, **environment)
            stack.callback(house.close)
            return house

        yield make


@pytest.fixture
def house(make_house: MakeHouse) -> HttpHouse:
    """A house with the default settings."""
    return make_house()


@pytest.fixture
def build(make_backend: MakeBackend) -> Iterator[BuildRunner]:
    """`build(say, TOKENTAIL_RETRIES="0", …)`: a runner with these settings and one provider, over each store."""
    houses: list[RunnerHouse] = []

    def make(say: Callable[[], Iterator[list[Chunk]]], meters: Meters | None = None, **environment: str) -> RunnerHouse:
        houses.append(RunnerHouse(make_backend(**environment), say, meters, None, **environment))
        return houses[-1]

    yield make
    for house in houses:
        gevent.killall(house.greenlets)
