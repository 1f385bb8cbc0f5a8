"""A Redis that refuses notes in RQ's books: no job is lost, none runs twice, and RQ has no failure of what has run.

The worker runs in this process, on a real Valkey, one turn of its loop at a time.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import cast

import gevent
import pytest
from rq import Queue
from rq.job import JobStatus
from rq.utils import now

from tokentail.jobs.queue import JobQueue, open_queue
from tokentail.redis.client import RedisClient
from worker import task
from worker.running import rq_books
from worker.running.rq_worker import GreenletWorker
from worker.running.runner import Runner


class _Runner:
    """Stands in for the runner: calls a function at each job's end."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.at_end: Callable[[], object] = lambda: None

    def run(self, job_id: str) -> str:
        self.ran.append(job_id)
        self.at_end()
        return "completed"


class _Worker(GreenletWorker):
    """Does not listen: sockets block here, where nothing is patched."""

    def _listen(self) -> None:
        """Nothing."""


@pytest.fixture
def runner() -> _Runner:
    runner = _Runner()
    task.bind(cast("Runner", runner))
    return runner


@pytest.fixture
def worker(real_client: RedisClient, runner: _Runner) -> Iterator[_Worker]:
    worker = _Worker(real_client, "worker-under-test", 2, 1.0, lambda _: None, lambda: None)
    worker.bootstrap("WARNING")
    yield worker
    _allow(real_client)
    worker._running.join(timeout=5)
    worker._sign_off()


@pytest.fixture
def queue(real_client: RedisClient) -> Queue:
    return open_queue(real_client)


def _refuse(client: RedisClient) -> None:
    client.config_set("min-replicas-to-write", 1)


def _allow(client: RedisClient) -> None:
    client.config_set("min-replicas-to-write", 0)


def test_a_job_that_has_run_is_noted_as_finished_when_redis_takes_notes_again(
    worker: _Worker,
    queue: Queue,
    runner: _Runner,
    real_client: RedisClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """RQ took the refusal for a failure of the job: a traceback of thirty lines, and a failed job in its books."""
    runner.at_end = lambda: _refuse(real_client)
    JobQueue(real_client).enqueue("job", 1)
    with caplog.at_level(logging.WARNING):
        worker._take()
        gevent.sleep(0.05)
    assert [record.message for record in caplog.records] == ["queue.bookkeeping_failed"]
    _allow(real_client)
    worker._running.join(timeout=5)
    rq_job = queue.fetch_job("job-1")
    assert rq_job is not None
    assert rq_job.get_status() is JobStatus.FINISHED
    assert queue.failed_job_registry.count == queue.started_job_registry.count == 0
    assert runner.ran == ["job"]


def test_a_worker_that_stops_does_not_wait_for_its_notes(
    worker: _Worker, runner: _Runner, real_client: RedisClient
) -> None:
    """The stop has other work to do in its grace, and the job has ended."""
    runner.at_end = lambda: _refuse(real_client)
    JobQueue(real_client).enqueue("job", 1)
    worker._take()
    gevent.sleep(0.05)
    assert len(worker._running) == 1
    worker._asked_to_stop()
    worker._running.join(timeout=5)
    assert len(worker._running) == 0


def test_what_could_not_be_noted_on_its_way_leaves_the_books_and_rq_never_runs_it(
    worker: _Worker, queue: Queue, runner: _Runner, real_client: RedisClient
) -> None:
    """The sweep enqueues the job anew under another id; RQ's clean-up takes the old id away after a minute."""
    jobs = JobQueue(real_client)
    jobs.enqueue("job", 1)
    taken = worker._dequeue()
    assert taken is not None
    _refuse(real_client)
    worker._slots.acquire()
    worker._perform(taken)
    assert runner.ran == []
    _allow(real_client)
    jobs.enqueue("job", 2)  # as the sweep does
    worker._take()
    worker._running.join(timeout=5)
    assert queue.intermediate_queue.get_job_ids() == ["job-1"]
    for _ in range(2):
        rq_books.maintain(worker)
        an_hour_ago = (now() - timedelta(hours=1)).timestamp()
        real_client.set(queue.intermediate_queue.get_first_seen_key("job-1"), an_hour_ago)
    assert queue.intermediate_queue.get_job_ids() == queue.get_job_ids() == []
    assert runner.ran == ["job"]
