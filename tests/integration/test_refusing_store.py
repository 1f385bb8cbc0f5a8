"""A store that refuses writes is an outage: workers wait, say so once, and go on. A real worker, a real server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rq import Worker

from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.redis.backend import Backend, now_ms, wire
from tokentail.redis.client import RedisClient

Refusal = tuple[Callable[[RedisClient], object], Callable[[RedisClient], object]]  # how it begins, how it ends

REFUSALS: dict[str, Refusal] = {
    "without a replica": (
        lambda client: client.config_set("min-replicas-to-write", 1),
        lambda client: client.config_set("min-replicas-to-write", 0),
    ),
    "as a replica": (lambda client: client.replicaof("127.0.0.1", 1), lambda client: client.replicaof("no", "one")),
    "full": (lambda client: client.config_set("maxmemory", 1), lambda client: client.config_set("maxmemory", 0)),
}


@pytest.fixture(params=list(REFUSALS))
def refusal(request: pytest.FixtureRequest, real_client: RedisClient) -> Iterator[Refusal]:
    refusal = REFUSALS[request.param]
    yield refusal
    refusal[1](real_client)


@pytest.fixture
def backend(real_client: RedisClient) -> Backend:
    return wire(real_client, real_client, load_settings({}))


@contextmanager
def running_worker(url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as written:
        environment = {"REDIS_URL": url, "TOKENTAIL_GRACE_S": "1", "PATH": os.environ["PATH"]}
        process = subprocess.Popen([sys.executable, "-m", "worker"], env=environment, stderr=written)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def submitted(backend: Backend, model: str) -> str:
    submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
    return submitter.submit("", parse_request(b'{"prompt": "p"}'), model, None).job_id


def test_a_running_worker_outlives_it(
    refusal: Refusal, backend: Backend, real_client: RedisClient, valkey_url: str, tmp_path: Path
) -> None:
    """The answer goes on afterwards in the same attempt, and nothing of it is missing."""
    refuse, allow = refusal
    log = tmp_path / "log"
    with running_worker(valkey_url, log) as process:
        eventually(backend.fleet.leases, within_s=20, what="the worker raises its lease")
        job_id = submitted(backend, "demo?tokens=60&tps=20")
        eventually(lambda: backend.store.view(job_id).token_count > 5, within_s=10)
        refuse(real_client)
        eventually(lambda: b"store_unavailable" in log.read_bytes() or b"store_full" in log.read_bytes(), within_s=10)
        length = backend.store.view(job_id).token_count
        allow(real_client)
        eventually(lambda: backend.store.view(job_id).status is Status.COMPLETED, within_s=20)
        job = backend.store.view(job_id)
        assert (process.poll(), job.token_count, job.losses) == (None, 60, 0)
        assert length < 60
    assert log.read_bytes().count(b"commit.store_") == 1


def test_a_worker_that_starts_meanwhile_waits(
    refusal: Refusal, backend: Backend, real_client: RedisClient, valkey_url: str, tmp_path: Path
) -> None:
    """When the store takes writes again, the worker is in RQ's books, and answers."""
    refuse, allow = refusal
    refuse(real_client)
    with running_worker(valkey_url, tmp_path / "log") as process:
        told = (b"lease.store_unavailable", b"queue.bookkeeping_failed")
        eventually(lambda: any(line in (tmp_path / "log").read_bytes() for line in told), within_s=20)
        assert process.poll() is None
        allow(real_client)
        eventually(backend.fleet.leases, within_s=20, what="the worker raises its lease")
        job_id = submitted(backend, "demo?tokens=3&tps=100")
        eventually(lambda: backend.store.view(job_id).status is Status.COMPLETED, within_s=20)
        eventually(lambda: Worker.all(connection=real_client), within_s=20, what="RQ knows the worker")
        assert process.poll() is None
