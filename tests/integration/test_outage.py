"""Redis away, failing over or restarted: told as an outage, and over when it is over."""

from collections.abc import Iterator

import pytest

from tests.contract.single_job import COMPLETED, NOW_MS, SingleJob
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.identifiers import new_job_id
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import NewJob
from tokentail.redis.backend import Backend, wire


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A server of this test's own, which keeps its data over a crash."""
    with ValkeyServer(is_durable=True) as server:
        yield server


@pytest.fixture
def backend(server: ValkeyServer) -> Iterator[Backend]:
    client = server.connect(timeout_s=1)
    yield wire(client, client, load_settings({}))
    client.close()


def test_a_server_that_crashed_is_away_and_then_there_again_with_everything(
    server: ValkeyServer, backend: Backend
) -> None:
    """Each call tells the outage; afterwards the same clients go on, and the writer too."""
    job = SingleJob(backend)
    writer = job.start("a")
    writer.write("b")
    append = writer.next_append(NOW_MS)
    assert append is not None
    server.kill()
    with pytest.raises(StoreUnavailable):
        job.read()
    with pytest.raises(StoreUnavailable):
        backend.store.append_many([append])
    with pytest.raises(StoreUnavailable):
        backend.store.remember("owner", "key", job.id, "digest", 1000)
    with pytest.raises(StoreUnavailable):
        backend.queue.enqueue(job.id, 1)
    with pytest.raises(StoreUnavailable):
        backend.fleet.beat("w1", Lease(1, 8, [], []))
    server.start()
    job.write(writer, COMPLETED)
    assert job.text() == "ab"


def test_a_server_that_became_a_replica_is_an_outage_for_writers(backend: Backend) -> None:
    """A fail-over seen from the old primary: reads go on, and writes raise StoreUnavailable until it is over."""
    job = SingleJob(backend)
    writer = job.start("a")
    backend.buffer_client.execute_command("REPLICAOF", "127.0.0.1", "1")
    writer.write("b")
    with pytest.raises(StoreUnavailable):
        job.drain(writer)
    with pytest.raises(StoreUnavailable):
        backend.store.create(NewJob(new_job_id(), "owner", "demo", NOW_MS), b"{}")
    append = writer.next_append(NOW_MS)
    assert append is not None
    assert isinstance(backend.store.append_many([append])[0], StoreUnavailable)
    backend.buffer_client.execute_command("REPLICAOF", "NO", "ONE")
    job.drain(writer)
    assert job.text() == "ab"


def test_a_replica_without_its_primary_is_an_outage_for_readers(backend: Backend) -> None:
    """Where stale answers are forbidden, there is none."""
    job = SingleJob(backend)
    backend.buffer_client.config_set("replica-serve-stale-data", "no")
    backend.buffer_client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreUnavailable):
        job.read()
