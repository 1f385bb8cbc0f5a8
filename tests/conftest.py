"""What every test can ask for: a real Valkey, a flushed client on it, and the backend over each store.

A Valkey that cannot start fails the tests that need it; skipping them would leave the laws of the log untested.
"""

import os
from collections.abc import Callable, Iterator

import fakeredis
import pytest
from hypothesis import settings

from tests.cluster_server import ClusterServer
from tests.scripted_worker import ScriptedWorker
from tests.sentinel_fleet import SentinelFleet
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.jobs_on_cluster import JobsOnCluster

MakeBackend = Callable[..., Backend]

# The contracts that `make test` runs on a Cluster, too; `make test-cluster` runs all.
_ON_CLUSTER = {"test_law_5_once", "test_usual_appends", "test_owner_list", "test_admission"}

# On a busy machine a server may be silent for seconds; no test here is to see one called dead for that.
_BUSY_MS = 30_000

# Speed is measured by benchmarks: how long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer | SentinelFleet]:
    """A real Valkey for the whole session, without durability; in `make test-sentinel` Sentinels name it."""
    with (
        SentinelFleet(replicas=1, down_after_ms=_BUSY_MS)
        if os.environ.get("TOKENTAIL_TEST_STORE") == "sentinel"
        else ValkeyServer() as server
    ):
        yield server


@pytest.fixture(scope="session")
def valkey_url(valkey_server: ValkeyServer | SentinelFleet) -> str:
    """The URL of the session's real Valkey."""
    return valkey_server.url


@pytest.fixture
def real_client(valkey_server: ValkeyServer | SentinelFleet) -> Iterator[RedisClient]:
    """A client of the session's real Valkey, which is empty and without a memory limit; it is left empty, too.

    The next file may start a web process before its first test asks for this, and its sweep would find what is there.
    """
    client = valkey_server.connect()
    client.config_set("maxmemory", 0)
    client.flushall()
    yield client
    client.config_set("maxmemory", 0)
    client.flushall()
    client.close()


@pytest.fixture
def worker(real_client: RedisClient) -> ScriptedWorker:
    """A worker over the real Valkey that does what the test says; the deployment knows it and its models."""
    worker = ScriptedWorker(wire(real_client, real_client, load_settings({})))
    worker.beat()
    return worker


@pytest.fixture(scope="session")
def cluster_server() -> Iterator[ClusterServer]:
    """A real Cluster of three nodes for the whole session, without durability."""
    with ClusterServer(node_timeout_ms=_BUSY_MS) as server:
        yield server


@pytest.fixture
def cluster_client(cluster_server: ClusterServer) -> Iterator[RedisClient]:
    """A client of the session's Cluster, which is empty; it is left empty, too."""
    with cluster_server.connect() as client:
        client.flushall()
        yield client
        client.flushall()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-on-cluster", action="store_true", help="run all contracts on a Cluster, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a Cluster, run those contracts alone that touch most of the product, unless all are asked for."""
    if not config.getoption("--all-on-cluster"):
        unasked = [item for item in items if item.get_closest_marker("cluster") and item.path.stem not in _ON_CLUSTER]
        config.hook.pytest_deselected(items=unasked)
        items[:] = [item for item in items if item not in set(unasked)]


@pytest.fixture(params=["fakeredis", "valkey", pytest.param("cluster", marks=pytest.mark.cluster)])
def store_client(request: pytest.FixtureRequest) -> Iterator[RedisClient]:
    """A client of an empty store, once of each kind."""
    if request.param == "valkey":
        yield request.getfixturevalue("real_client")
        return
    if request.param == "cluster":
        yield JobsOnCluster(request.getfixturevalue("cluster_client"), request.getfixturevalue("real_client"))
        return
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    yield client
    client.close()


@pytest.fixture
def queue_client(store_client: RedisClient) -> RedisClient:
    """A client for the queue: the same server, where the store is one; a queue cannot be in a Cluster."""
    return store_client.others if isinstance(store_client, JobsOnCluster) else store_client


@pytest.fixture
def make_backend(store_client: RedisClient, queue_client: RedisClient) -> MakeBackend:
    """`make_backend(TOKENTAIL_RETENTION_S="1", …)`: a backend with these settings, over each store."""

    def make(**environment: str) -> Backend:
        return wire(store_client, queue_client, load_settings(environment))

    return make


@pytest.fixture
def backend(make_backend: MakeBackend) -> Backend:
    """A backend with the default settings, over each store."""
    return make_backend()
