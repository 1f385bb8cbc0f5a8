"""Fixtures of the contract: one job, over each store; and a harness of each binding."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import fakeredis
import gevent
import pytest

from tests.conftest import MakeBackend
from tests.contract.both_bindings import both
from tests.contract.runner_harness import BuildRunner, RunnerHarness
from tests.contract.single_job import SingleJob
from tests.http_harness import HttpHarness, MakeHarness, open_harness
from tests.loopback import LoopThread
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from worker.chunk import Chunk
from worker.meters import Meters

__all__ = ["both"]  # a fixture


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
@pytest.fixture(
    params=["flask-fakeredis", "flask-valkey", "plane-valkey", pytest.param("plane-cluster", marks=pytest.mark.cluster)]
)
def make_harness(request: pytest.FixtureRequest) -> Iterator[MakeHarness]:
    """`make_harness(TOKENTAIL_API_KEYS="k", …)`: a harness of each binding, over each store it can use."""
    binding, store = request.param.split("-")
    loop_thread = request.getfixturevalue("loop_thread") if binding == "plane" else None
    with ExitStack() as stack:
        if store == "fakeredis":
            client, url = fakeredis.FakeRedis(server=fakeredis.FakeServer()), ""
            stack.callback(client.close)
        else:
            client, url = request.getfixturevalue("real_client"), request.getfixturevalue("valkey_url")
        queue = client
        if store == "cluster":
            client, url = request.getfixturevalue("cluster_client"), request.getfixturevalue("cluster_server").url

        def make(*, has_worker: bool = True, **environment: str) -> HttpHarness:
            backend = wire(client, queue, load_settings(environment))
            harness = open_harness(backend, loop_thread, url, has_worker=has_worker, is_timeless=False, **environment)
            stack.callback(harness.close)
            return harness

        yield make


@pytest.fixture
def harness(make_harness: MakeHarness) -> HttpHarness:
    """A harness with the default settings."""
    return make_harness()


@pytest.fixture
def build(make_backend: MakeBackend) -> Iterator[BuildRunner]:
    """`build(say, TOKENTAIL_RETRIES="0", …)`: a runner with these settings and one provider, over each store."""
    harnesses: list[RunnerHarness] = []

    def make(
        say: Callable[[], Iterator[list[Chunk]]], meters: Meters | None = None, **environment: str
    ) -> RunnerHarness:
        harnesses.append(RunnerHarness(make_backend(**environment), say, meters, None, **environment))
        return harnesses[-1]

    yield make
    for harness in harnesses:
        gevent.killall(harness.greenlets)
