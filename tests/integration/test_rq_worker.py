"""The worker process under RQ: what operators see stays true, and RQ's hooks are where we think they are."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.job import JobStatus
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.cursor import BEGINNING
from tokentail.redis.backend import Backend, now_ms, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import QUEUE_NAME

_SLOTS = 3


class _Process:
    """One `python -m worker` with three slots, and a backend beside it."""

    def __init__(self, client: RedisClient, url: str) -> None:
        environment = {
            "REDIS_URL": url,
            "TOKENTAIL_WORKER_CONCURRENCY": str(_SLOTS),
            "TOKENTAIL_GRACE_S": "1",
            "PATH": os.environ["PATH"],
        }
        self.backend: Backend = wire(client, client, load_settings(environment))
        self.queue = Queue(QUEUE_NAME, connection=client, serializer=JSONSerializer)
        self.process = subprocess.Popen([sys.executable, "-m", "worker"], env=environment, stderr=subprocess.PIPE)
        eventually(self.backend.fleet.leases, within_s=15, what="the worker raises its lease")

    def submit(self, model: str) -> str:
        request = parse_request(b'{"prompt": "p"}')
        return (
            Submitter(self.backend.store, self.backend.queue, self.backend.admission, now_ms)
            .submit("", request, model, None)
            .job_id
        )

    def status(self, job_id: str) -> Status:
        return self.backend.store.view(job_id).status

    def tokens(self, job_id: str) -> int:
        return len(self.backend.store.read(job_id, BEGINNING, 10_000).tokens)


@pytest.fixture
def worker(real_client: RedisClient, valkey_url: str) -> Iterator[_Process]:
    worker = _Process(real_client, valkey_url)
    yield worker
    worker.process.kill()
    worker.process.communicate()


def test_many_jobs_run_at_once_but_no_more_than_there_are_slots(worker: _Process) -> None:
    """A job beyond the slots stays in the queue, where another worker could take it."""
    jobs = [worker.submit("demo?tokens=1000&tps=50") for _ in range(_SLOTS + 1)]
    eventually(lambda: all(worker.tokens(job) for job in jobs[:_SLOTS]), what="all slots are used")
    assert worker.status(jobs[-1]) is Status.QUEUED
    assert worker.backend.queue.waiting() == {jobs[-1]: 0}
    assert StartedJobRegistry(QUEUE_NAME, connection=worker.queue.connection).count == _SLOTS


def test_rq_sees_what_ran(worker: _Process) -> None:
    """RQ's job is finished, with one word for its result, and its registries hold it where it belongs."""
    job_id = worker.submit("demo?tokens=5&tps=0")
    eventually(lambda: worker.status(job_id) is Status.COMPLETED, what="the job ends")
    eventually(lambda: worker.queue.finished_job_registry.count == 1, what="RQ's books are closed")
    rq_job = worker.queue.fetch_job(f"{job_id}-1")
    assert rq_job is not None
    assert rq_job.get_status() is JobStatus.FINISHED
    assert rq_job.return_value() == "completed"
    assert worker.queue.intermediate_queue.get_job_ids() == []
    assert [w.name for w in Worker.all(queue=worker.queue)] == list(worker.backend.fleet.leases())


def test_an_operator_stops_a_job_by_rq(worker: _Process) -> None:
    """`send_stop_job_command` cancels the one job it names, and leaves its neighbours alone."""
    stopped, other = worker.submit("demo?tokens=1000&tps=50"), worker.submit("demo?tokens=50&tps=50")
    eventually(lambda: worker.tokens(stopped) and worker.tokens(other), what="both run")
    send_stop_job_command(worker.queue.connection, f"{stopped}-1", serializer=JSONSerializer)
    eventually(lambda: worker.status(stopped) is Status.CANCELLED, what="it is cancelled")
    eventually(lambda: worker.status(other) is Status.COMPLETED, what="the other ends")


def test_sigterm_lets_jobs_end_and_hands_over_the_rest(worker: _Process) -> None:
    """A short job ends within the grace period; a long one is back in the queue at once, not after a lease."""
    short, long = worker.submit("demo?tokens=25&tps=50"), worker.submit("demo?tokens=1000&tps=50")
    eventually(lambda: worker.tokens(short) and worker.tokens(long), what="both run")
    worker.process.send_signal(signal.SIGTERM)
    _, output = worker.process.communicate(timeout=15)
    assert worker.process.returncode == 0, output.decode()
    assert worker.status(short) is Status.COMPLETED
    assert worker.status(long) is Status.QUEUED
    assert list(worker.backend.queue.waiting()) == [long]
    assert worker.backend.fleet.leases() == {}


def test_a_worker_says_what_is_wrong_with_its_settings(valkey_url: str) -> None:
    """Every fault, one a line, and exit status 2."""
    environment = {"REDIS_URL": "ftp://x", "TOKENTAIL_LEASE_S": "soon", "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-m", "worker"], env=environment, capture_output=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert [line.split(":")[0] for line in ended.stderr.decode().splitlines()] == ["TOKENTAIL_LEASE_S", "REDIS_URL"]


def test_a_worker_that_does_not_serve_the_default_model_says_so_and_works(
    real_client: RedisClient, valkey_url: str
) -> None:
    """Another worker may serve it, so it is a warning; the line has the names that this one serves."""
    environment = {"REDIS_URL": valkey_url, "TOKENTAIL_MODEL": "openai/gpt-5", "PATH": os.environ["PATH"]}
    backend = wire(real_client, real_client, load_settings(environment))
    process = subprocess.Popen([sys.executable, "-m", "worker"], env=environment, stderr=subprocess.PIPE)
    try:
        eventually(backend.fleet.leases, within_s=15, what="the worker raises its lease")
    finally:
        process.send_signal(signal.SIGTERM)
        _, output = process.communicate(timeout=15)
    assert re.search(r"warning model\.not_served model=openai/gpt-5 fault=.*there is: demo", output.decode())
