"""Several processes by one command: one that dies is started again, and one signal stops them all."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.acceptance.running import TOKENTAIL, environment, is_alive, running_up, start, wait_for_end
from tests.free_ports import free_ports
from tests.scrape import Scrape
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.cursor import BEGINNING
from tokentail.redis.backend import Backend, now_ms, wire
from tokentail.redis.client import RedisClient


class Crew:
    """A running `tokentail worker --processes 2` or `tokentail web --processes 2`."""

    def __init__(self, command: subprocess.Popen[str], log: Path) -> None:
        self.command = command
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def pids(self) -> set[int]:
        """The pids of the command's children, including dead ones that it has not noticed."""
        words = Path(f"/proc/{self.command.pid}/task/{self.command.pid}/children").read_text().split()
        return {int(pid) for pid in words if is_alive(int(pid))}

    def is_replaced(self, pid: int) -> bool:
        return pid not in self.pids() and len(self.pids()) == 2

    def stop(self, within_s: float) -> int:
        """SIGTERM, and its exit code."""
        self.command.send_signal(signal.SIGTERM)
        return self.command.wait(within_s)


@contextmanager
def running(program: str, folder: Path, **settings: str) -> Iterator[Crew]:
    log = folder / f"{program}.log"
    with log.open("w") as output:
        argv = [TOKENTAIL, program, "--processes", "2"]
        command = start(argv, settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    crew = Crew(command, log)
    ready = {"worker": "worker.ready", "web": "web.listening"}[program]
    try:
        eventually(lambda: crew.log.count(ready) == 2 or command.poll() is not None, within_s=30, what="both are ready")
        assert command.poll() is None, crew.log
        yield crew
    finally:
        command.kill()  # which takes its children with it
        command.wait()


class Jobs:
    """What the tests ask of the store."""

    def __init__(self, client: RedisClient) -> None:
        self.backend: Backend = wire(client, client, load_settings({}))

    def submit(self, model: str) -> str:
        request = parse_request(b'{"prompt": "p"}')
        backend = self.backend
        submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
        return submitter.submit("", request, model, None).job_id

    def statuses(self, *job_ids: str) -> set[Status]:
        return {self.backend.store.view(job_id).status for job_id in job_ids}

    def tokens(self, job_id: str) -> int:
        return len(self.backend.store.read(job_id, BEGINNING, 10_000).tokens)

    def worker_of(self, job_id: str) -> int:
        """The process that holds the job."""
        return int(self.backend.store.view(job_id).worker.split("-")[-2])


@pytest.fixture
def jobs(real_client: RedisClient) -> Jobs:
    return Jobs(real_client)


def test_a_killed_worker_is_started_again_and_its_jobs_end(tmp_path: Path, jobs: Jobs, valkey_url: str) -> None:
    """The other goes on meanwhile; the whole takes SIGTERM as one worker does."""
    with running("worker", tmp_path, REDIS_URL=valkey_url, TOKENTAIL_LEASE_S="2", TOKENTAIL_GRACE_S="1") as crew:
        work = [jobs.submit("demo?tokens=60&tps=20") for _ in range(6)]
        eventually(lambda: jobs.statuses(*work) == {Status.RUNNING}, what="all run")
        victim = jobs.worker_of(work[0])
        assert victim in crew.pids()
        os.kill(victim, signal.SIGKILL)
        eventually(partial(crew.is_replaced, victim), within_s=10, what="it is started again")
        eventually(lambda: jobs.statuses(*work) == {Status.COMPLETED}, within_s=30, what="every job ends")
        assert re.search(r"service\.restarted .*exit_code=-9", crew.log)
        assert crew.stop(within_s=15) == 0, crew.log
        assert jobs.backend.fleet.leases() == {}


def test_sigterm_reaches_all_at_once_and_jobs_are_handed_over(tmp_path: Path, jobs: Jobs, valkey_url: str) -> None:
    """A job that does not end within the grace is in the queue when the command exits, with exit code 0."""
    settings = {"REDIS_URL": valkey_url, "TOKENTAIL_GRACE_S": "2", "TOKENTAIL_WORKER_CONCURRENCY": "4"}
    with running("worker", tmp_path, **settings) as crew:
        pids = crew.pids()
        work = [jobs.submit("demo?tokens=1000&tps=20") for _ in range(8)]
        eventually(lambda: jobs.statuses(*work) == {Status.RUNNING}, what="all run")
        assert {jobs.worker_of(job) for job in work} == pids
        assert crew.stop(within_s=15) == 0, crew.log
        assert jobs.statuses(*work) == {Status.QUEUED}
        assert len(jobs.backend.queue.waiting()) == len(work)
        assert not any(map(is_alive, pids))
        assert "unavailable" not in crew.log


def test_a_second_signal_does_not_wait_for_running_jobs(tmp_path: Path, jobs: Jobs, valkey_url: str) -> None:
    """The second signal is passed on, too, and both workers hand their jobs over at once."""
    with running("worker", tmp_path, REDIS_URL=valkey_url, TOKENTAIL_GRACE_S="60") as crew:
        work = [jobs.submit("demo?tokens=1000&tps=20") for _ in range(8)]
        eventually(lambda: jobs.statuses(*work) == {Status.RUNNING}, what="all run")
        crew.command.send_signal(signal.SIGINT)
        eventually(lambda: crew.log.count("worker.draining") == 2, what="both drain")
        assert jobs.statuses(*work) == {Status.RUNNING}
        assert crew.stop(within_s=10) == 0, crew.log
        assert jobs.statuses(*work) == {Status.QUEUED}


def test_web_processes_of_one_command_drain_together(tmp_path: Path, valkey_url: str, worker: ScriptedWorker) -> None:
    """From SIGTERM on each of them says at /readyz that it stops, and serves; a second signal ends that."""
    del worker  # its beat is what makes them ready
    (port,) = free_ports(1)
    settings = {"REDIS_URL": valkey_url, "TOKENTAIL_PORT": str(port), "TOKENTAIL_DRAIN_S": "60"}
    with running("web", tmp_path, **settings) as crew:
        url = f"http://127.0.0.1:{port}"
        assert requests.get(f"{url}/readyz", timeout=10).status_code == 200
        crew.command.send_signal(signal.SIGTERM)
        eventually(lambda: crew.log.count("web.stopping") == 2, within_s=20, what="both drain")
        assert {requests.get(f"{url}/readyz", timeout=10).status_code for _ in range(6)} == {503}
        assert {requests.get(f"{url}/healthz", timeout=10).status_code for _ in range(6)} == {200}
        assert crew.stop(20) == 0


def test_no_worker_outlives_its_command(tmp_path: Path, jobs: Jobs, valkey_url: str) -> None:
    """Workers die with their command, even if the command is killed."""
    with running("worker", tmp_path, REDIS_URL=valkey_url) as crew:
        pids = crew.pids()
        crew.command.kill()
        crew.command.wait()
        eventually(lambda: not any(map(is_alive, pids)), what="its children are gone")


def test_a_web_process_is_killed_and_nobody_is_refused(tmp_path: Path, jobs: Jobs, valkey_url: str) -> None:
    """Web processes share the socket: while one restarts, the other answers every connection."""
    with running("web", tmp_path, REDIS_URL=valkey_url, TOKENTAIL_PORT="0") as crew:
        url = re.search(r"web\.listening address=(\S+)", crew.log)
        assert url is not None
        assert len(set(re.findall(r"web\.listening address=(\S+)", crew.log))) == 1
        job_id = jobs.submit("demo")
        victim, other = sorted(crew.pids())
        for pid in (victim, other):
            os.kill(pid, signal.SIGKILL)
            eventually(partial(is_dead, pid), what="it is dead")
            while not crew.is_replaced(pid):
                assert poll(url[1], job_id) == 200
        assert poll(url[1], job_id) == 200
        assert crew.stop(within_s=15) == 0, crew.log
        assert "web.stopped" in crew.log


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


def poll(url: str, job_id: str) -> int:
    """One poll over a connection of its own, which must not be refused."""
    return requests.get(f"{url}/v1/jobs/{job_id}/tokens", timeout=10).status_code


@pytest.mark.parametrize("program", ["worker", "web"])
def test_settings_that_cannot_work_are_told_once(program: str) -> None:
    """Nothing starts, and the exit code is 2."""
    settings = environment(TOKENTAIL_LEASE_S="soon", TOKENTAIL_WEB_METRICS="9100")
    argv = [TOKENTAIL, program, "--processes", "3"]
    ended = subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert [line.split(":")[1].strip() for line in ended.stderr.splitlines()] == [
        "TOKENTAIL_LEASE_S",
        "TOKENTAIL_WEB_METRICS",
    ]


def test_a_fault_in_a_providers_file_is_told_once(tmp_path: Path, valkey_url: str) -> None:
    """Before any worker is started that would say it again."""
    (tmp_path / "providers.toml").write_text("nonsense")
    settings = environment(REDIS_URL=valkey_url, TOKENTAIL_PROVIDERS=str(tmp_path / "providers.toml"))
    argv = [TOKENTAIL, "worker", "--processes", "3"]
    ended = subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("is not TOML") == 1


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path, valkey_url: str) -> None:
    """One line, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = environment(REDIS_URL=valkey_url, TOKENTAIL_PORT=str(port))
        argv = [TOKENTAIL, "web", "--processes", "2"]
        ended = subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"tokentail: cannot listen on 127.0.0.1:{port}: ")
    assert ended.stderr.count("\n") == 1


def test_each_process_has_its_metrics_at_a_port_of_its_own(tmp_path: Path, jobs: Jobs, valkey_url: str) -> None:
    """The next one's is the next port; one that is started again comes back where it was."""
    port = free_ports(2)[0]
    with running("worker", tmp_path, REDIS_URL=valkey_url, TOKENTAIL_WORKER_METRICS=f"127.0.0.1:{port}") as crew:
        urls = [f"http://127.0.0.1:{port + i}/metrics" for i in range(2)]
        work = [jobs.submit("demo?tokens=3&tps=0") for _ in range(5)]
        eventually(lambda: jobs.statuses(*work) == {Status.COMPLETED}, what="all end")
        eventually(lambda: sum(map(completed, urls)) == len(work), what="all are counted")
        for victim in list(crew.pids()):
            os.kill(victim, signal.SIGKILL)
            eventually(partial(crew.is_replaced, victim), within_s=40, what="it is started again")
        eventually(lambda: list(map(completed, urls)) == [0, 0], within_s=60, what="both count from 0 again")


def completed(metrics_url: str) -> float:
    """How many jobs a worker has completed; less than none while it cannot be asked."""
    try:
        text = requests.get(metrics_url, timeout=5).text
    except requests.RequestException:
        return -1
    return Scrape(text).total("tokentail_jobs_ended_total")


def live_workers(metrics_url: str) -> float:
    """How many workers a web process sees; none if it is a worker that is asked."""
    return Scrape(requests.get(metrics_url, timeout=5).text).total("tokentail_workers")


def test_up_serves_the_metrics_of_both(tmp_path: Path) -> None:
    """Each at its address."""
    model, address = "demo?tokens=3&tps=0", "127.0.0.1:0"
    with running_up(tmp_path, "--model", model, TOKENTAIL_WORKER_METRICS=address, TOKENTAIL_WEB_METRICS=address) as up:
        assert wait_for_end(up, up.submit(prompt="hello")) == "completed"
        urls = re.findall(r"metrics\.listening address=(\S+)", up.log)
        assert len(urls) == 2
        eventually(lambda: sum(map(completed, urls)) == 1, what="the worker counts it")
        eventually(lambda: sum(map(live_workers, urls)) == 1, what="the web process sees the worker")
