"""Flask under gunicorn, without the read plane: it answers the same, and cares for the jobs like any web process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import environment
from tests.event_reader import EventReader
from tests.integration.web_process import InBackground, Site
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.backend import wire
from tokentail.commands import live_channel
from tokentail.settings import load_settings
from tokentail.store import RedisClient

_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
KEY: Any = {"Authorization": "Bearer key-one"}


class Gunicorn(Site):
    """A server with one process that answers, on a free port."""

    def __init__(self, command: subprocess.Popen[bytes], log: Path) -> None:
        self.command = command
        self._log = log
        eventually(lambda: _LISTENING.search(self.log) or command.poll() is not None, within_s=20, what="it listens")
        found = _LISTENING.search(self.log)
        assert found, self.log
        self.port = int(found[1])
        eventually(lambda: self.ask("GET", "/healthz").status == 200, within_s=20, what="it answers")

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def running_gunicorn(redis_url: str, folder: Path, *options: str, **settings: str) -> Iterator[Gunicorn]:
    threads = ["--worker-class", "gthread", "--threads", "16", "--bind", "127.0.0.1:0"]
    argv = [sys.executable, "-m", "gunicorn", *threads, *options, "app.wsgi:application()"]
    log = folder / "gunicorn.log"
    told = environment(REDIS_URL=redis_url, TOKENTAIL_WEB_THREADS="16", **settings)
    with log.open("wb") as output:
        command = subprocess.Popen(
            argv, env=told, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Gunicorn(command, log)
    finally:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
        command.wait(10)


@pytest.fixture
def worker(real_client: RedisClient) -> ScriptedWorker:
    worker = ScriptedWorker(wire(real_client, real_client, load_settings({})))
    worker.beat()
    return worker


def is_followed(client: RedisClient, job_id: str) -> bool:
    return bool(client.pubsub_numsub(live_channel(job_id))[0][1])


def test_polls_and_streams_are_answered(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str, tmp_path: Path
) -> None:
    """The short poll, the long poll that a token wakes, an event stream, and the whole answer that is waited for."""
    with running_gunicorn(valkey_url, tmp_path, TOKENTAIL_LEASE_S="600") as web:
        job_id = web.submit().json["id"]
        assert web.ask("GET", f"/v1/jobs/{job_id}/tokens").json["tokens"] == []
        poll = InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
        eventually(lambda: is_followed(real_client, job_id), what="the poll waits")
        writer = worker.take(job_id)
        began = time.monotonic()
        worker.say(writer, "Hello")
        assert poll.reply(10).json["tokens"] == ["Hello"]
        assert time.monotonic() - began < 5
        with EventReader(web, f"/v1/jobs/{job_id}/stream") as reader:
            first = reader.next_with_data()
            assert first is not None
            assert first.poll["tokens"] == ["Hello"]
            worker.say(writer, " you", COMPLETED)
            assert [event.poll["tokens"] for event in reader.rest()] == [[" you"]]
        assert web.ask("GET", f"/v1/jobs/{job_id}/text").body == b"Hello you"


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "loaded before the fork"])
def test_what_the_workers_can_take_is_known(
    worker: ScriptedWorker, valkey_url: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Two jobs of one key are both in the queue at once, for its share of the workers' slots is more than one."""
    del worker  # it is enough that it lives
    settings = {"TOKENTAIL_API_KEYS": "key-one", "TOKENTAIL_LEASE_S": "600"}
    with running_gunicorn(valkey_url, tmp_path, *options, **settings) as web:
        job_ids = [web.submit(**KEY).json["id"] for _ in range(2)]

        def waiting() -> list[tuple[str | None, int | None]]:
            views = [web.ask("GET", f"/v1/jobs/{job_id}", **KEY).json for job_id in job_ids]
            return [(view["waits_for"], view["queue_position"]) for view in views]

        eventually(lambda: waiting() == [("slot", 1), ("slot", 2)], what="both are in the queue")


def test_a_dead_workers_job_goes_back_to_the_queue(worker: ScriptedWorker, valkey_url: str, tmp_path: Path) -> None:
    """The process sees that the worker's heart stands still, and what became of its jobs."""
    with running_gunicorn(valkey_url, tmp_path, TOKENTAIL_LEASE_S="2") as web:
        job_id = web.submit().json["id"]
        worker.backend.queue.discard(job_id, 1)  # as a worker does that takes it
        worker.take(job_id)
        assert web.ask("GET", f"/v1/jobs/{job_id}").json["status"] == "running"
        eventually(
            lambda: web.ask("GET", f"/v1/jobs/{job_id}").json["status"] == "queued",
            within_s=15,
            what="it is taken back",
        )
        assert web.ask("GET", f"/v1/jobs/{job_id}").json["waits_for"] == "worker"


def test_a_stop_answers_who_waits(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str, tmp_path: Path
) -> None:
    """At SIGTERM a waiting poll is answered and a stream ends; gunicorn, which waits for both, is gone in a moment."""
    del worker
    with running_gunicorn(valkey_url, tmp_path, TOKENTAIL_LEASE_S="600") as web:
        job_id, other = (web.submit().json["id"] for _ in range(2))
        poll = InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
        with EventReader(web, f"/v1/jobs/{other}/stream") as reader:
            eventually(lambda: is_followed(real_client, job_id) and is_followed(real_client, other), what="both wait")
            began = time.monotonic()
            web.command.send_signal(signal.SIGTERM)
            body = poll.reply(10).json
            assert (body["tokens"], body["done"], body["poll_after_ms"] > 0) == ([], False, True)
            assert reader.rest() == []
        assert web.command.wait(10) == 0
        assert time.monotonic() - began < 5
        assert "Traceback" not in web.log
