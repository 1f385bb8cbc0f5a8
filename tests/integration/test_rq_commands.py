"""What operators may say to RQ while workers run: its command line shows the truth, and none of it loses a job."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from rq import Queue, Worker
from rq.command import send_shutdown_command, send_stop_execution_command
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Job, Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End
from tokentail.redis.backend import Backend, now_ms, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import QUEUE_NAME

_LONG, _SHORT = "demo?tokens=2000&tps=50", "demo?tokens=3&tps=0"


class _Site:
    """A Valkey, the `rq` command line, and as many workers as a test starts."""

    def __init__(self, client: RedisClient, url: str) -> None:
        self._url = url
        self._environment = {"REDIS_URL": url, "TOKENTAIL_GRACE_S": "1", "PATH": os.environ["PATH"]}
        self.client = client
        self.backend: Backend = wire(client, client, load_settings(self._environment))
        self.queue = Queue(QUEUE_NAME, connection=client, serializer=JSONSerializer)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self) -> subprocess.Popen[bytes]:
        before = len(self.backend.fleet.leases())
        worker = subprocess.Popen(
            [sys.executable, "-m", "worker"], env=self._environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.workers.append(worker)
        eventually(lambda: len(self.backend.fleet.leases()) > before, within_s=20, what="the worker raises its lease")
        return worker

    def rq(self, *words: str) -> str:
        """What `rq …` prints."""
        by_json = ("--serializer", "rq.serializers.JSONSerializer") if words[0] in {"empty", "requeue"} else ()
        argv = [sys.executable, "-m", "rq.cli", words[0], "--url", self._url, *by_json, *words[1:]]
        ended = subprocess.run(argv, capture_output=True, timeout=30, check=False, env=self._environment)
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode()

    def suspend(self) -> None:
        """`rq suspend`, and wait until the worker shows that it has seen it."""
        self.rq("suspend")
        eventually(
            lambda: [worker.get_state() for worker in Worker.all(connection=self.client)] == ["suspended"],
            what="the worker has seen it",
        )

    def submit(self, model: str) -> str:
        backend = self.backend
        submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
        return submitter.submit("", parse_request(b'{"prompt": "p"}'), model, None).job_id

    def job(self, job_id: str) -> Job:
        return self.backend.store.view(job_id)

    def is_completed(self, job_id: str) -> bool:
        return self.job(job_id).status is Status.COMPLETED


@pytest.fixture
def site(real_client: RedisClient, valkey_url: str) -> Iterator[_Site]:
    site = _Site(real_client, valkey_url)
    site.start_worker()
    yield site
    for worker in site.workers:
        worker.kill()
        worker.wait(10)


def test_rq_info_counts_what_is_there(site: _Site) -> None:
    """Queued, executing and finished jobs, and the worker's state: busy, and idle again when all is over."""
    ended = site.submit(_SHORT)
    running = site.submit(_LONG)
    eventually(lambda: site.is_completed(ended), what="one ends")
    eventually(lambda: site.job(running).token_count, what="one runs")
    eventually(lambda: f"queue {QUEUE_NAME} 0, 1 executing, 1 finished, 0 failed" in site.rq("info", "--raw"))
    assert f" busy {QUEUE_NAME}. jobs: 1 finished, 0 failed" in site.rq("info", "--raw")
    site.backend.store.close(running, End(Status.CANCELLED), now_ms())
    eventually(lambda: f" idle {QUEUE_NAME}. jobs: 2 finished" in site.rq("info", "--raw"), within_s=15)


def test_rq_suspend_holds_jobs_back_until_rq_resume(site: _Site) -> None:
    """What runs goes on; what comes stays in the queue."""
    running = site.submit("demo?tokens=100&tps=50")
    eventually(lambda: site.job(running).token_count, what="it runs")
    site.suspend()
    held = site.submit(_SHORT)
    eventually(lambda: site.is_completed(running), what="what ran ends")
    assert site.backend.queue.waiting() == {held: 0}
    site.rq("resume")
    eventually(lambda: site.is_completed(held), what="it is taken")


def test_a_job_that_rq_empty_threw_out_is_run_all_the_same(site: _Site) -> None:
    """RQ's queue carries ids; that a job is open is ours to know, and the sweep finds it missing."""
    site.suspend()
    job_id = site.submit(_SHORT)
    assert "1 jobs removed" in site.rq("empty", QUEUE_NAME)
    site.rq("resume")
    eventually(lambda: site.is_completed(job_id), within_s=15, what="the sweep puts it back")
    assert site.job(job_id).attempts == 1


def test_a_job_whose_worker_died_between_blmove_and_start_is_run_once(site: _Site) -> None:
    """A job that is in the intermediate queue alone is found missing by the sweep after some seconds."""
    site.suspend()
    job_id = site.submit(_SHORT)
    site.client.lmove(site.queue.key, site.queue.intermediate_queue_key)
    site.rq("resume")
    eventually(lambda: site.is_completed(job_id), within_s=15, what="the sweep puts it back")
    assert (site.job(job_id).attempts, site.job(job_id).losses) == (1, 0)
    # The trace that is left runs nothing, should anybody put it back.
    site.client.lmove(site.queue.intermediate_queue_key, site.queue.key)
    eventually(lambda: site.queue.count == 0, what="it is taken")
    assert site.job(job_id).attempts == 1


def test_a_killed_workers_execution_is_called_failed_and_requeueing_it_runs_nothing_twice(site: _Site) -> None:
    """Ours goes on with another worker in seconds; RQ's page follows, and `rq requeue` of it does no harm."""
    job_id = site.submit(_LONG)
    eventually(lambda: site.job(job_id).token_count, what="it runs")
    site.workers[0].kill()
    site.start_worker()
    eventually(lambda: site.job(job_id).attempts == 2, within_s=20, what="another worker has it")
    registry = StartedJobRegistry(QUEUE_NAME, connection=site.client, serializer=JSONSerializer)
    eventually(lambda: len(registry.get_job_ids()) == 2, what="the old execution is still shown beside the new")
    for entry in site.client.zrange(registry.key, 0, -1):
        if entry.startswith(f"{job_id}-1:".encode()):
            site.client.zadd(registry.key, {entry: 1})  # a minute and a half later
    assert "1 executing, 0 finished, 1 failed" in site.rq("info", "--raw")
    assert site.queue.get_job_ids() == []
    site.rq("requeue", "--queue", QUEUE_NAME, "--all")
    eventually(lambda: f"{job_id}-1" in site.queue.finished_job_registry.get_job_ids(), what="it was taken and left")
    again = site.queue.fetch_job(f"{job_id}-1")
    assert again is not None
    assert again.return_value() == "refused"
    assert site.job(job_id).attempts == 2


def test_an_execution_is_stopped_by_rq(site: _Site) -> None:
    """`send_stop_execution_command` cancels the one job."""
    job_id = site.submit(_LONG)
    eventually(lambda: site.job(job_id).token_count, what="it runs")
    (worker,) = Worker.all(connection=site.client)
    (execution,) = worker.get_current_executions()
    send_stop_execution_command(site.client, execution.job_id, execution.id)
    eventually(lambda: site.job(job_id).status is Status.CANCELLED, what="it is cancelled")


def _by_command(site: _Site) -> None:
    (worker,) = Worker.all(connection=site.client)
    send_shutdown_command(site.client, worker.name)


def _by_signal(site: _Site) -> None:
    site.workers[0].send_signal(signal.SIGINT)


@pytest.mark.parametrize("ask", [_by_command, _by_signal])
def test_shutting_down_by_rq_is_the_same_as_by_signal(site: _Site, ask: Callable[[_Site], None]) -> None:
    """The worker drains, hands over what is left, ends with 0 and is gone from RQ's list."""
    job_id = site.submit(_LONG)
    eventually(lambda: len(site.backend.store.read(job_id, BEGINNING, 10).tokens), what="it runs")
    ask(site)
    assert site.workers[0].wait(20) == 0
    assert list(site.backend.queue.waiting()) == [job_id]
    assert Worker.all(connection=site.client) == []
