"""Metrics of real processes, scraped over HTTP while they work: the numbers are those of what was done."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.web_process import WebProcess
from tests.scrape import Scrape, lint, scrape
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.element import End
from tokentail.redis.backend import Backend, now_ms, wire
from tokentail.redis.client import RedisClient

REQUESTS = "tokentail_http_requests_total"
_ADDRESS = "127.0.0.1:0"


class Worker:
    """One `python -m worker` with metrics, and a backend beside it."""

    def __init__(self, client: RedisClient, url: str, log: Path) -> None:
        self._log = log
        self.backend: Backend = wire(client, client, load_settings({}))
        environment = {
            "PATH": os.environ["PATH"],
            "REDIS_URL": url,
            "TOKENTAIL_WORKER_METRICS": _ADDRESS,
            "TOKENTAIL_WORKER_CONCURRENCY": "50",
            "TOKENTAIL_RETRIES": "1",
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",  # the discard port: nobody listens
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen([sys.executable, "-m", "worker"], env=environment, stderr=output)
        eventually(lambda: "worker.ready" in self.log, within_s=20, what="the worker is ready")

    @property
    def log(self) -> str:
        return self._log.read_text()

    def submit(self, model: str) -> str:
        request = parse_request(b'{"prompt": "a prompt that nobody may see"}')
        backend = self.backend
        submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
        return submitter.submit("", request, model, None).job_id

    def status(self, job_id: str) -> Status:
        return self.backend.store.view(job_id).status

    def scrape(self) -> Scrape:
        return scrape(self.log)


@pytest.fixture
def worker(real_client: RedisClient, valkey_url: str, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(real_client, valkey_url, tmp_path / "worker.log")
    yield worker
    worker.process.kill()
    worker.process.wait()


def test_a_worker_counts_what_it_did(worker: Worker) -> None:
    """Ten jobs that were completed, two that the provider failed after a retry each, one that a client cancelled."""
    before = worker.scrape()
    assert before.total("tokentail_jobs_ended_total") == 0
    completed = [worker.submit("demo?tokens=20&tps=0") for _ in range(10)]
    failed = [worker.submit(f"openai/{i}-the-clients-own-word") for i in range(2)]
    cancelled = worker.submit("demo?tokens=100000&tps=20")
    eventually(lambda: worker.status(cancelled) is Status.RUNNING, what="the long one runs")
    during = worker.scrape()
    assert during.value("tokentail_worker_jobs", provider="openai") is not None
    assert during.value("tokentail_streams_open", provider="demo") is not None
    assert during.value("tokentail_worker_slots") == 50
    eventually(
        lambda: all(worker.status(i).is_closed for i in (*completed, *failed)), within_s=20, what="the others end"
    )
    eventually(lambda: worker.scrape().total("tokentail_worker_jobs") == 1, what="only the long one is held")
    assert worker.scrape().value("tokentail_worker_jobs", provider="demo") == 1
    assert worker.scrape().value("tokentail_streams_open", provider="demo") == 1
    cancel(worker.backend, cancelled)
    eventually(lambda: worker.scrape().total("tokentail_worker_jobs") == 0, what="none is held")
    after = worker.scrape()
    assert after.value("tokentail_jobs_ended_total", provider="demo", status="completed", failure="") == 10
    assert after.value("tokentail_jobs_ended_total", provider="openai", status="failed", failure="unavailable") == 2
    assert after.total("tokentail_jobs_ended_total") == 12
    assert after.value("tokentail_attempts_broken_off_total", provider="demo", reason="closed") == 1
    assert after.value("tokentail_streams_open", provider="demo") == 0
    assert after.value("tokentail_first_token_seconds_count", provider="demo") == 11
    assert after.value("tokentail_first_token_seconds_count", provider="openai") is None
    assert after.value("tokentail_job_first_token_seconds_count", provider="demo") == 11
    assert after.value("tokentail_job_first_token_seconds_count", provider="openai") is None
    from_call, from_submission = (f"tokentail_{name}_seconds_sum" for name in ("first_token", "job_first_token"))
    assert after.total(from_submission) > after.total(from_call), "the way through the queue counts"
    assert after.value("tokentail_provider_failures_total", provider="openai", failure="unavailable") == 4
    assert after.value("tokentail_provider_retries_total", provider="openai") == 2
    # A start, twenty tokens and an end of each of the ten; a start and an end of the failed; some of the cancelled.
    elements = after.total("tokentail_elements_appended_total")
    assert elements >= 10 * 22 + 2 * 2
    assert after.value("tokentail_commit_elements_sum") == elements
    round_trips = after.value("tokentail_commit_seconds_count")
    assert round_trips == after.value("tokentail_commit_jobs_count") == after.value("tokentail_commit_elements_count")
    assert (after.value("tokentail_loop_lag_seconds_count") or 0) > 0


def test_no_label_holds_what_a_client_said(worker: Worker) -> None:
    """Names of models are unbounded, and prompts are nobody's business."""
    job_id = worker.submit("openai/the-clients-own-word")
    eventually(lambda: worker.status(job_id).is_closed, within_s=20, what="it fails")
    assert not [value for value in worker.scrape().label_values() if "own-word" in value or "prompt" in value]


def test_the_exposition_is_well_formed(worker: Worker, valkey_url: str) -> None:
    """Of both kinds: base units, help for everything, our own prefix or the client library's."""
    families = worker.scrape().families
    with WebProcess(valkey_url, TOKENTAIL_WEB_METRICS=_ADDRESS) as web:
        web.ask("GET", "/healthz")
        families += scrape(web.log).families
    assert lint({family.name: family.documentation for family in families}) == []
    assert {family.name.split("_")[0] for family in families} == {"tokentail", "process", "python"}
    assert all(sample.name.endswith("_total") for f in families if f.type == "counter" for sample in f.samples)


def test_a_lost_worker_is_counted_where_the_sweep_was(worker: Worker, valkey_url: str) -> None:
    """The process that takes a lost worker's job back, here the web process, counts the loss."""
    job_id = worker.submit("demo?tokens=100000&tps=20")
    eventually(lambda: worker.status(job_id) is Status.RUNNING, what="it runs")
    with WebProcess(valkey_url, TOKENTAIL_WEB_METRICS=_ADDRESS, TOKENTAIL_LEASE_S="2") as web:
        worker.process.kill()
        eventually(lambda: worker.status(job_id) is Status.QUEUED, within_s=15, what="it is taken back")
        eventually(lambda: scrape(web.log).value("tokentail_workers_lost_total") == 1, what="the loss is counted")
        seen = scrape(web.log)
        assert seen.value("tokentail_swept_jobs_total", action="taken_back") == 1
        assert seen.value("tokentail_swept_jobs_total", action="failed") == 0


def test_an_address_that_is_taken_is_told(worker: Worker, valkey_url: str) -> None:
    """A worker that nobody can watch does not start."""
    address = worker.log.split("metrics.listening address=http://")[1].split("/")[0]
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": valkey_url, "TOKENTAIL_WORKER_METRICS": address}
    argv = [sys.executable, "-m", "worker"]
    ended = subprocess.run(argv, env=environment, capture_output=True, timeout=30, text=True, check=False)
    assert ended.returncode == 1
    assert f"metrics.cannot_listen address={address}" in ended.stderr


def test_a_web_process_counts_its_requests(real_client: RedisClient, valkey_url: str) -> None:
    """By route and status, whatever the path; and how the whole stands."""
    backend = wire(real_client, real_client, load_settings({}))
    scripted = ScriptedWorker(backend)
    scripted.beat(slots=7)
    with WebProcess(valkey_url, TOKENTAIL_WEB_METRICS=_ADDRESS) as web:
        eventually(lambda: web.submit().status == 202, what="it knows the worker")
        job_id = backend.queue.head()
        assert job_id is not None
        assert [web.ask("GET", f"/v1/jobs/{job_id}/tokens").status for _ in range(3)] == [200] * 3
        assert web.ask("GET", "/v1/jobs/nothing-like-it/text").status == 404
        assert web.ask("PROPFIND", "/a/clients/own/path").status == 404
        # A request is counted when its answer has been sent; ours may be quicker.
        eventually(
            lambda: scrape(web.log).value(REQUESTS, method="other", route="other", status="404"), what="it counts"
        )
        seen = scrape(web.log)
        route = "/v1/jobs/{job_id}/tokens"
        assert seen.value(REQUESTS, method="POST", route="/v1/jobs", status="202") == 1
        assert seen.value(REQUESTS, method="GET", route=route, status="200") == 3
        assert seen.value("tokentail_http_request_seconds_count", method="GET", route=route, waits="false") == 3
        assert seen.value(REQUESTS, method="GET", route="/v1/jobs/{job_id}/text", status="404") == 1
        assert not {"PROPFIND", job_id, "nothing-like-it"} & seen.label_values()
        assert not [value for value in seen.label_values() if "own" in value]
        assert seen.value("tokentail_jobs", state="queued") == 1
        assert seen.value("tokentail_jobs", state="running") == 0
        assert seen.value("tokentail_queue_length") == 1
        assert (seen.value("tokentail_queue_head_age_seconds") or 0) > 0
        assert (seen.value("tokentail_workers"), seen.value("tokentail_slots")) == (1, 7)
        assert seen.value("tokentail_http_waits") == 0


def test_metrics_are_not_at_the_public_address(real_client: RedisClient, valkey_url: str) -> None:
    """A client that may ask for tokens has no access to the load of the deployment."""
    with WebProcess(valkey_url, TOKENTAIL_WEB_METRICS=_ADDRESS) as web:
        assert web.ask("GET", "/metrics").status == 404
    with WebProcess(valkey_url) as web:
        assert "metrics.listening" not in web.log


def test_a_scrape_while_redis_is_away_is_answered_without_the_queue(tmp_path: Path) -> None:
    """What the process knows of itself is there; what only Redis knows is absent, not zero."""
    with WebProcess(f"unix://{tmp_path}/nothing.sock", TOKENTAIL_WEB_METRICS=_ADDRESS) as web:
        assert web.ask("GET", "/readyz").status == 503
        unready = {"method": "GET", "route": "/readyz", "status": "503"}
        eventually(lambda: scrape(web.log).value(REQUESTS, **unready) == 1, what="it counts")
        assert_no_deployment(scrape(web.log))


def test_a_scrape_while_redis_hangs_is_answered_in_time() -> None:
    """Prometheus gives up after ten seconds; a Redis that accepts and says nothing costs one or two."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with WebProcess(url, TOKENTAIL_WEB_METRICS=_ADDRESS) as web:
            assert_no_deployment(scrape(web.log, timeout_s=4))


def assert_no_deployment(seen: Scrape) -> None:
    """The process's own figures are there, and none of the whole."""
    assert seen.value("tokentail_http_waits") == 0
    names = ("tokentail_queue_length", "tokentail_queue_head_age_seconds", "tokentail_workers", "tokentail_slots")
    assert [seen.value(name) for name in names] == [None] * 4


def cancel(backend: Backend, job_id: str) -> None:
    """As the web process does it."""
    backend.store.close(job_id, End(Status.CANCELLED), now_ms())
