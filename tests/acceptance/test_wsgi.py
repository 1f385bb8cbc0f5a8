"""Flask under other servers than ours: it answers the same, and cares for the jobs like any web process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import environment
from tests.event_reader import EventReader
from tests.integration.web_process import InBackground, Site
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.log.cursor import BEGINNING
from tokentail.redis import scripts
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel

_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
KEY: Any = {"Authorization": "Bearer key-one"}


class Server(Site):
    """A WSGI server with one process that answers, on a free port."""

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


THREADS = ("--worker-class", "gthread", "--threads", "16")
GREENLETS = ("--worker-class", "gevent")
PYWSGI = """
from gevent import monkey; monkey.patch_all()
from gevent.pywsgi import WSGIServer
from app.wsgi import application
server = WSGIServer(("127.0.0.1", 0), application(), log=None)
server.start()
print(f"Listening at: http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
WERKZEUG = """
from werkzeug.serving import make_server
from app.wsgi import application
server = make_server("127.0.0.1", 0, application(), threaded=True)
print(f"Listening at: http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
"""
SERVERS = {
    "Werkzeug's own": ("-c", WERKZEUG),
    "gthread": ("-m", "gunicorn", *THREADS),
    "gthread, loaded before the fork": ("-m", "gunicorn", *THREADS, "--preload"),
    "gevent": ("-m", "gunicorn", *GREENLETS),
    "gevent, loaded before the fork": ("-m", "gunicorn", *GREENLETS, "--preload"),
    "gevent.pywsgi": ("-c", PYWSGI),
}


@contextmanager
def running_server(redis_url: str, folder: Path, program: tuple[str, ...], **settings: str) -> Iterator[Server]:
    served = ("--bind", "127.0.0.1:0", "app.wsgi:application()") if "gunicorn" in program else ()
    log = folder / "server.log"
    told = environment(REDIS_URL=redis_url, TOKENTAIL_WEB_THREADS="16", **settings)
    with log.open("wb") as output:
        command = subprocess.Popen(
            [sys.executable, *program, *served],
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Server(command, log)
    finally:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
        command.wait(10)


def running_gunicorn(redis_url: str, folder: Path, *options: str, **settings: str) -> AbstractContextManager[Server]:
    return running_server(redis_url, folder, (*SERVERS["gthread"], *options), **settings)


def reads_of(client: RedisClient, job_id: str, ask: Callable[[], object]) -> int:
    """How often the job was read from Redis while this was asked, by any command with which its log can be."""
    reading = {"GET", "LRANGE", "LINDEX", f"EVALSHA {scripts.read('', BEGINNING, 1).script.sha}"}
    with client.monitor() as monitor:
        ask()
        client.echo("asked")
        commands: list[str] = []
        while (sent := monitor.next_command())["command"] != "ECHO asked":
            if sent["client_type"] != "lua" and job_id in sent["command"]:
                commands.append(sent["command"])
    return sum(any(command.startswith(each) for each in reading) for command in commands)


def is_followed(client: RedisClient, job_id: str) -> bool:
    return bool(client.pubsub_numsub(live_channel(job_id))[0][1])


@pytest.mark.parametrize("program", SERVERS.values(), ids=SERVERS)
def test_polls_and_streams_are_answered(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str, tmp_path: Path, program: tuple[str, ...]
) -> None:
    """The short poll, the long poll that a token wakes, an event stream, and the whole answer that is waited for.

    This holds with threads and with greenlets, and where the server loads the application before it forks.
    """
    with running_server(valkey_url, tmp_path, program, TOKENTAIL_LEASE_S="600") as web:
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
        assert "Traceback" not in web.log


@pytest.mark.parametrize("program", SERVERS.values(), ids=SERVERS)
def test_readers_that_wait_keep_no_other_request_waiting(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str, tmp_path: Path, program: tuple[str, ...]
) -> None:
    """While eight long polls wait, requests that need Redis are answered; then one token answers all eight polls."""
    with running_server(valkey_url, tmp_path, program, TOKENTAIL_LEASE_S="600") as web:
        job_id = web.submit().json["id"]
        polls = [InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=25") for _ in range(8)]
        eventually(lambda: is_followed(real_client, job_id), what="they wait")
        for _ in range(20):
            assert web.ask("GET", f"/v1/jobs/{job_id}").json["status"] == "queued"
        worker.answer(job_id, "a")
        assert [poll.reply(20).json["tokens"] for poll in polls] == [["a"]] * 8


def test_polls_of_a_followed_job_ask_redis_nothing(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str, tmp_path: Path
) -> None:
    """Two hundred short polls, a long poll, a stream's beginning and more tokens cost the process no read of Redis."""
    with running_gunicorn(valkey_url, tmp_path, TOKENTAIL_LEASE_S="600") as web:
        job_id = web.submit().json["id"]
        writer = worker.take(job_id)
        worker.say(writer, "a")
        path = f"/v1/jobs/{job_id}/tokens"
        web.ask("GET", path)
        eventually(lambda: is_followed(real_client, job_id))
        eventually(lambda: reads_of(real_client, job_id, lambda: web.ask("GET", path)) == 0, what="its tail is live")

        def poll() -> None:
            for _ in range(200):
                assert web.ask("GET", path).json["tokens"] == ["a"]
            cursor = web.ask("GET", path).json["cursor"]
            waiting = InBackground(web, "GET", f"{path}?cursor={cursor}&wait=20")
            with EventReader(web, f"/v1/jobs/{job_id}/stream") as reader:
                first = reader.next_with_data()
                assert first is not None
                assert first.poll["tokens"] == ["a"]
                worker.say(writer, "b")
                assert waiting.reply(10).json["tokens"] == ["b"]
                second = reader.next_with_data()
                assert second is not None
                assert second.poll["tokens"] == ["b"]

        assert reads_of(real_client, job_id, poll) == 0


FORKED = """
import os, sys
from werkzeug.test import Client
from app.wsgi import application
client = Client(application())
assert client.get(sys.argv[1]).status_code == 200
child = os.fork()
tokens = client.get(sys.argv[1] + "?wait=20").get_json()["tokens"]
os.write(1, f"{'child' if child == 0 else 'parent'} {tokens}\\n".encode())
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_fork_of_a_process_that_has_served_serves_too(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str
) -> None:
    """Parent and child each follow the job, by connections of their own, and each receives the token."""
    job_id = worker.submit()
    argv = [sys.executable, "-c", FORKED, f"/v1/jobs/{job_id}/tokens"]
    with subprocess.Popen(argv, env=environment(REDIS_URL=valkey_url), stdout=subprocess.PIPE, text=True) as command:
        eventually(lambda: real_client.pubsub_numsub(live_channel(job_id))[0][1] == 2, within_s=20, what="both follow")
        worker.answer(job_id, "a")
        told, _ = command.communicate(timeout=30)
    assert sorted(told.splitlines()) == ["child ['a']", "parent ['a']"]


def test_eventlet_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Where eventlet has replaced threads the application does not load, and names what to use instead."""
    (tmp_path / "eventlet").mkdir()
    (tmp_path / "eventlet/__init__.py").touch()
    (tmp_path / "eventlet/patcher.py").write_text("def is_monkey_patched(module):\n    return module == 'thread'\n")
    program = "import eventlet.patcher; from app.wsgi import application; application()"
    told = environment(REDIS_URL="redis://127.0.0.1:1", PYTHONPATH=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", program], env=told, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "eventlet has replaced the threads: use gunicorn's gthread worker, or tokentail web" in ended.stderr


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


@pytest.mark.parametrize(
    ("name", "within_s"),
    [
        ("gthread", 5),
        ("gthread, loaded before the fork", 5),
        ("gevent", 10),  # its worker looks once a second
        ("gevent, loaded before the fork", 10),
        ("gevent.pywsgi", 5),
        ("Werkzeug's own", 5),
    ],
)
def test_a_stop_answers_who_waits(
    worker: ScriptedWorker, real_client: RedisClient, valkey_url: str, tmp_path: Path, name: str, within_s: float
) -> None:
    """At SIGTERM a waiting poll is answered and a stream ends; then the server goes, also one that waits for nobody."""
    del worker
    with running_server(valkey_url, tmp_path, SERVERS[name], TOKENTAIL_LEASE_S="600") as web:
        job_id, other = (web.submit().json["id"] for _ in range(2))
        poll = InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
        with EventReader(web, f"/v1/jobs/{other}/stream") as reader:
            eventually(lambda: is_followed(real_client, job_id) and is_followed(real_client, other), what="both wait")
            began = time.monotonic()
            web.command.send_signal(signal.SIGTERM)
            body = poll.reply(10).json
            assert (body["tokens"], body["done"], body["poll_after_ms"] > 0) == ([], False, True)
            assert reader.rest() == []
        assert web.command.wait(10) == (0 if "gunicorn" in SERVERS[name] else -signal.SIGTERM)
        assert time.monotonic() - began < within_s
        assert "Traceback" not in web.log
