"""The stop of a web process at SIGTERM: it drains first, and then closes no connection under a request."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.integration.web_process import InBackground, WebProcess
from tests.nginx_server import NginxServer
from tests.rolling import under_load
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel

LONG_S = "60"  # longer than any test


@pytest.fixture
def draining(valkey_url: str, worker: ScriptedWorker) -> Iterator[WebProcess]:
    """A process that drains until it gets a second signal; a connection of each test was made before."""
    del worker
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_DRAIN_S=LONG_S) as web:
        yield web


def begin_drain(web: WebProcess) -> None:
    web.signal(signal.SIGTERM)
    eventually(lambda: "web.stopping drain_s=60" in web.log, within_s=20, what="it drains")


def end_drain(web: WebProcess) -> None:
    web.signal(signal.SIGTERM)
    assert web.wait(20) == 0


def test_a_draining_process_serves_and_says_that_it_stops(draining: WebProcess) -> None:
    """`/readyz` is 503; everything else is served, on connections that are kept and on new ones, once on each."""
    with ExitStack() as stack:
        kept = [stack.enter_context(closing(draining.connect())) for _ in range(3)]
        for client in kept:
            client.send_head("GET", "/healthz", {})
            assert "connection" not in client.reply().headers
        begin_drain(draining)
        new = stack.enter_context(closing(draining.connect()))
        for client, path, status in (
            (kept[0], "/readyz", 503),
            (kept[1], "/v1/models", 200),
            (new, "/healthz", 200),
        ):
            client.send_head("GET", path, {})
            reply = client.reply()
            assert (path, reply.status, reply.headers["connection"]) == (path, status, "close")
            assert client.is_closed()
        assert draining.submit().status == 202
        assert not kept[2].has_answer(), "an idle connection is not closed yet"
        end_drain(draining)
        assert kept[2].is_closed()


def test_polls_wait_on_while_the_process_drains(
    draining: WebProcess, worker: ScriptedWorker, real_client: RedisClient
) -> None:
    """A poll gets its news as ever, one without news an answer at the end. Either answer closes its connection."""
    job_id, quiet = (draining.submit().json["id"] for _ in range(2))
    writer = worker.take(job_id)
    polls = {job: InBackground(draining, "GET", f"/v1/jobs/{job}/tokens?wait=20") for job in (job_id, quiet)}
    for job in (job_id, quiet):
        eventually(lambda job=job: real_client.pubsub_numsub(live_channel(job))[0][1], what="both wait")  # type: ignore[misc]
    begin_drain(draining)
    worker.say(writer, "Hello")
    reply = polls[job_id].reply(10)
    assert (reply.json["tokens"], reply.headers["connection"]) == (["Hello"], "close")
    again = InBackground(draining, "GET", f"/v1/jobs/{job_id}/tokens?wait=20&cursor={reply.json['cursor']}")
    worker.say(writer, " you")
    assert again.reply(10).json["tokens"] == [" you"]
    end_drain(draining)
    reply = polls[quiet].reply(10)
    assert (reply.status, reply.json["tokens"], reply.headers["connection"]) == (200, [], "close")


@pytest.mark.parametrize("is_new", [True, False], ids=["new connection", "kept connection"])
def test_a_request_that_has_begun_to_arrive_is_answered(
    valkey_url: str, worker: ScriptedWorker, *, is_new: bool
) -> None:
    """The process waits for the rest of its head, although nothing else is under way."""
    del worker
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600") as web, closing(web.connect()) as client:
        if not is_new:
            client.send_head("GET", "/healthz", {})
            assert client.reply().status == 200
        client.send(b"GET /healthz HTTP/1.1\r\nHost: local")
        time.sleep(0.2)  # its first part is read
        web.signal(signal.SIGTERM)
        eventually(lambda: "web.stopping" in web.log, what="it stops")
        client.send(b"host\r\n\r\n")
        reply = client.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert web.wait(10) == 0


def test_a_stop_behind_nginx_fails_no_request(valkey_url: str, worker: ScriptedWorker) -> None:
    """No waiting poll and no submission fails while one of two processes stops. `make rolling` tries more."""
    with (
        WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_DRAIN_S="1.5") as first,
        WebProcess(valkey_url, TOKENTAIL_LEASE_S="600") as second,
        NginxServer(first.port, second.port) as nginx,
        under_load(nginx.port, worker, readers=8) as outcome,
    ):
        eventually(lambda: outcome.requests > 50, within_s=20, what="both have requests")
        first.signal(signal.SIGTERM)
        assert first.wait(30) == 0
        before = outcome.requests
        eventually(lambda: outcome.requests > before + 50, within_s=20, what="the other one has them all")
    assert outcome.failures == {}
    assert outcome.submissions > 10


def test_ctrl_c_drains_nothing(draining: WebProcess) -> None:
    """At SIGINT a person waits for the terminal."""
    draining.signal(signal.SIGINT)
    assert draining.wait(10) == 0
    assert "web.stopping" not in draining.log
