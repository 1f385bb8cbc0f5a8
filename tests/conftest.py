"""What every test can ask for: a real Valkey, a flushed client on it, and the backend over each store.

A Valkey that cannot start fails the tests that need it; skipping them would leave the laws of the log untested.
"""

import os
from collections.abc import Callable, Iterator

import fakeredis
import pytest
from hypothesis import settings

from tests.scripted_worker import ScriptedWorker
from tests.sentinel_fleet import SentinelFleet
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient

MakeBackend = Callable[..., Backend]

# Speed is measured by benchmarks: how long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer | SentinelFleet]:
    """A real Valkey for the whole session, without durability; in `make test-sentinel` Sentinels name it."""
    with (
        SentinelFleet(replicas=1) if os.environ.get("TOKENTAIL_TEST_STORE") == "sentinel" else ValkeyServer() as server
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


@pytest.fixture(params=["fakeredis", "valkey"])
def store_client(request: pytest.FixtureRequest) -> Iterator[RedisClient]:
    """A client of an empty store, once of each kind."""
    if request.param == "valkey":
        yield request.getfixturevalue("real_client")
        return
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    yield client
    client.close()


@pytest.fixture
def make_backend(store_client: RedisClient) -> MakeBackend:
    """`make_backend(TOKENTAIL_RETENTION_S="1", …)`: a backend with these settings, over each store."""

    def make(**environment: str) -> Backend:
        return wire(store_client, store_client, load_settings(environment))

    return make


@pytest.fixture
def backend(make_backend: MakeBackend) -> Backend:
    """A backend with the default settings, over each store."""
    return make_backend()
