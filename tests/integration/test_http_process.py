"""The web process over a socket: it starts, serves, waits, stops, and outlives its Redis."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.integration.web_process import InBackground, WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own, to be killed and filled."""
    with ValkeyServer(is_durable=True) as server:
        yield server


@pytest.fixture
def client(server: ValkeyServer) -> Iterator[RedisClient]:
    client = server.connect()
    yield client
    client.close()


@pytest.fixture
def own(client: RedisClient) -> Backend:
    return wire(client, client, load_settings({}))


@pytest.fixture
def worker(own: Backend) -> ScriptedWorker:
    worker = ScriptedWorker(own)
    worker.beat()
    return worker


@pytest.fixture
def web(server: ValkeyServer) -> Iterator[WebProcess]:
    # The scripted worker's heart beats once; a long lease keeps its jobs with it.
    with WebProcess(server.url, TOKENTAIL_LEASE_S="600") as web:
        yield web


def wait_until_followed(client: RedisClient, job_id: str) -> None:
    eventually(lambda: client.pubsub_numsub(live_channel(job_id))[0][1], what="somebody waits for the job")


def test_a_hanging_redis_does_not_make_the_process_seem_dead(server: ValkeyServer, client: RedisClient) -> None:
    """Every thread waits for Redis, and more requests for a thread: whether the process lives is answered at once."""
    with WebProcess(server.url, TOKENTAIL_WEB_THREADS="4") as web, ExitStack() as stack:
        client.client_pause(10_000)
        asking = [stack.enter_context(closing(web.connect())) for _ in range(12)]
        for each in asking:
            each.send_head("GET", "/readyz", {})
        began = time.monotonic()
        for method in ("GET", "HEAD"):
            assert web.ask(method, "/healthz").status == 200
        assert time.monotonic() - began < 1
        assert not any(each.has_answer() for each in asking)


def test_a_long_poll_is_woken_by_another_process(web: WebProcess, worker: ScriptedWorker, client: RedisClient) -> None:
    """A token that a worker appends reaches a waiting poll in a moment, over a real socket."""
    job_id = web.submit().json["id"]
    poll = InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
    wait_until_followed(client, job_id)
    writer = worker.take(job_id)
    began = time.monotonic()
    worker.say(writer, "Hello")
    assert poll.reply(10).json["tokens"] == ["Hello"]
    assert time.monotonic() - began < 1
    cursor = poll.reply(1).json["cursor"]
    worker.say(writer, " you", COMPLETED)
    body = web.ask("GET", f"/v1/jobs/{job_id}/tokens?cursor={cursor}&wait=20").json
    assert (body["tokens"], body["done"]) == ([" you"], True)
    assert web.ask("GET", f"/v1/jobs/{job_id}/text").body == b"Hello you"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_who_waits_and_ends_the_process(
    web: WebProcess, worker: ScriptedWorker, client: RedisClient, number: signal.Signals
) -> None:
    """A stop is no error for anybody: waiting polls get their answer, and the process exits 0."""
    job_id = web.submit().json["id"]
    with ExitStack() as stack:
        # Five who wait, one who only keeps a connection open, and one whose body never ends.
        *polls, idle, slow = [stack.enter_context(closing(web.connect())) for _ in range(7)]
        for poll in polls:
            poll.send_head("GET", f"/v1/jobs/{job_id}/tokens?wait=20", {})
        slow.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Content-Length": "20"})
        idle.send_head("GET", "/healthz", {})
        assert idle.reply().status == 200
        wait_until_followed(client, job_id)
        began = time.monotonic()
        web.signal(number)
        assert [poll.reply().status for poll in polls] == [200] * 5
        assert time.monotonic() - began < 1
        assert web.wait(5) == 0
        assert time.monotonic() - began < 4
    assert "web.stopped" in web.log
    assert worker.backend.store.view(job_id).status == "queued"


def test_redis_away_is_told_in_time_and_over_by_itself(
    web: WebProcess, worker: ScriptedWorker, server: ValkeyServer, client: RedisClient
) -> None:
    """Without Redis every call that needs it is a 503 with Retry-After within two seconds; then all is as before."""
    job_id = web.submit().json["id"]
    poll = InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
    wait_until_followed(client, job_id)
    server.kill()
    assert poll.reply(2).status == 503
    for method, path in (
        ("GET", f"/v1/jobs/{job_id}"),
        ("GET", f"/v1/jobs/{job_id}/tokens"),
        ("GET", f"/v1/jobs/{job_id}/tokens?wait=20"),
        ("GET", "/v1/jobs"),
        ("GET", "/readyz"),
        ("POST", f"/v1/jobs/{job_id}/cancel"),
    ):
        began = time.monotonic()
        reply = web.ask(method, path)
        assert (reply.status, reply.headers["content-type"]) == (503, "application/problem+json")
        assert int(reply.headers["retry-after"]) > 0
        assert time.monotonic() - began < 2
    assert web.submit().status == 503
    assert web.ask("GET", "/healthz").status == 200
    server.start()
    assert web.ask("GET", "/readyz").status == 200
    poll = InBackground(web, "GET", f"/v1/jobs/{job_id}/tokens?wait=20")
    wait_until_followed(client, job_id)
    worker.answer(job_id, "a")
    assert poll.reply(10).json["tokens"] == ["a"]
    assert 1 <= web.log.count("background_loop.interrupted") <= 2, "an outage is logged once, not once a second"
    assert web.log.count("subscription.lost") == 1


def test_redis_that_hangs_is_told_in_time(web: WebProcess, worker: ScriptedWorker, client: RedisClient) -> None:
    """A Redis that accepts but never answers is away, too."""
    job_id = web.submit().json["id"]
    client.client_pause(4000)
    began = time.monotonic()
    assert web.ask("GET", f"/v1/jobs/{job_id}").status == 503
    assert time.monotonic() - began < 2.2
    eventually(lambda: web.ask("GET", f"/v1/jobs/{job_id}").status == 200, within_s=10)


def test_many_submissions_to_a_redis_that_hangs_are_told_in_time(
    web: WebProcess, worker: ScriptedWorker, client: RedisClient
) -> None:
    """Submissions with `Prefer: wait` are handled by coroutines, and none of them has to wait for a thread."""
    del worker  # it is enough that it lives
    body = b'{"prompt": "why"}'
    head = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Prefer": "wait=5"}
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(web.connect())) for _ in range(40)]
        client.client_pause(15_000)
        began = time.monotonic()
        for each in clients:
            each.send_head("POST", "/v1/jobs", head)
            each.send(body)
        assert {each.reply("POST").status for each in clients} == {503}
        assert time.monotonic() - began < 5


def test_a_full_redis_refuses_jobs_and_still_ends_them(
    web: WebProcess, worker: ScriptedWorker, client: RedisClient
) -> None:
    """Full: a submission is a 503 that leaves nothing behind; reading, cancelling and deleting go on, and free it."""
    running, queued, doomed = (web.submit().json["id"] for _ in range(3))
    worker.say(worker.take(running), "a")
    before = sorted(client.keys())
    client.config_set("maxmemory", 1)
    refused = web.submit(Idempotency_Key="full")
    assert (refused.status, refused.json["type"]) == (503, "urn:tokentail:problem:store-full")
    assert int(refused.headers["retry-after"]) > 0
    assert sorted(set(client.keys()) - {b"tt:sweep"}) == [key for key in before if key != b"tt:sweep"]
    assert web.ask("GET", f"/v1/jobs/{running}/tokens").json["tokens"] == ["a"]
    for job_id in (running, queued):
        assert web.ask("POST", f"/v1/jobs/{job_id}/cancel").json["status"] == "cancelled"
    assert web.ask("DELETE", f"/v1/jobs/{doomed}").status == 204
    assert web.ask("GET", f"/v1/jobs/{doomed}").status == 410
    client.config_set("maxmemory", 0)
    assert web.submit(Idempotency_Key="full").status == 202
    assert not {queued, doomed} & set(worker.backend.queue.waiting()), "what was closed holds nobody's place"


def test_the_background_loop_brings_a_lost_job_to_its_end(server: ValkeyServer, worker: ScriptedWorker) -> None:
    """A web process alone sees that a worker has died, and takes its job back."""
    job_id = worker.submit()
    worker.backend.admission.enter("", job_id, int(time.time() * 1000))
    worker.take(job_id)
    with WebProcess(server.url, TOKENTAIL_LEASE_S="2", TOKENTAIL_MAX_LOSSES="1") as web:
        body = web.ask("GET", f"/v1/jobs/{job_id}/tokens?wait=20&cursor=0").json
        while not body["done"]:
            body = web.ask("GET", f"/v1/jobs/{job_id}/tokens?wait=20&cursor={body['cursor']}").json
        assert (body["status"], body["error"]["type"]) == ("failed", "internal")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "REDIS_URL"),
        ({"REDIS_URL": "ftp://x", "TOKENTAIL_PORT": "many"}, "TOKENTAIL_PORT: is not a whole number\nREDIS_URL"),
        ({"REDIS_URL": "redis://localhost", "TOKENTAIL_HOST": "0.0.0.0"}, "TOKENTAIL_HOST"),
    ],
)
def test_faulty_settings_are_told_and_end_it(environment: dict[str, str], said: str) -> None:
    """Every fault is a line on stderr, without a trace, and the exit code is 2."""
    ended = subprocess.run(
        [sys.executable, "-m", "app"],
        env={"PATH": "", **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_told(web: WebProcess, server: ValkeyServer) -> None:
    """Two processes cannot have one address: the second says so and exits 1."""
    environment = {"PATH": "", "REDIS_URL": server.url, "TOKENTAIL_PORT": str(web.port)}
    ended = subprocess.run(
        [sys.executable, "-m", "app"], env=environment, check=False, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 1
    assert "web.cannot_listen" in ended.stderr
