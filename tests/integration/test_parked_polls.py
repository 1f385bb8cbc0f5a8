"""Parked polls over a real socket: answers in the order of requests, places that come free, and a stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.integration.web_process import WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.log.writer import LogWriter

_ONE_WAITS = "1"


@pytest.fixture
def web(valkey_url: str, worker: ScriptedWorker) -> Iterator[WebProcess]:
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_LOG_LEVEL="DEBUG") as web:
        yield web


def live_poll(web: WebProcess, worker: ScriptedWorker) -> tuple[LogWriter, str]:
    """A job with one token, and the path of a long poll behind it, which its tail can answer."""
    job_id = web.submit().json["id"]
    writer = worker.take(job_id)
    worker.say(writer, "a")
    path = f"/v1/jobs/{job_id}/tokens"
    # What goes the long way leaves a line: polls are parked when a short one leaves none.
    cursor = web.ask("GET", path).json["cursor"]

    def is_quick() -> bool:
        before = web.log.count(f"path={path}")
        with closing(web.connect()) as client:
            for asked in (f"{path}?cursor={cursor}", "/healthz"):  # the line is written by the time of the next answer
                client.send_head("GET", asked, {})
                assert client.reply().status == 200
        return web.log.count(f"path={path}") == before

    eventually(is_quick, what="the tail is live")
    return writer, f"{path}?cursor={cursor}&wait=20"


def test_a_parked_poll_is_answered_before_the_request_behind_it(web: WebProcess, worker: ScriptedWorker) -> None:
    """A client that sends its next request without waiting gets both answers, in order, and the first one at once."""
    _, path = live_poll(web, worker)
    with closing(web.connect()) as client:
        client.send_head("GET", path, {})
        client.send_head("GET", "/healthz", {})
        began = time.monotonic()
        first, second = client.reply(), client.reply()
        assert time.monotonic() - began < 15
    assert first.json["tokens"] == []
    assert first.json["poll_after_ms"] > 0
    assert "tokens" not in second.json


def test_parked_polls_share_news_and_their_connection_goes_on(web: WebProcess, worker: ScriptedWorker) -> None:
    """All get the end; the connection is good for the next request."""
    writer, path = live_poll(web, worker)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(web.connect())) for _ in range(3)]
        for client in clients:
            client.send_head("GET", path, {})
        worker.say(writer, "b", COMPLETED)
        replies = [client.reply() for client in clients]
        assert {reply.body for reply in replies} == {replies[0].body}
        assert (replies[0].json["tokens"], replies[0].json["done"]) == (["b"], True)
        clients[0].send_head("GET", "/healthz", {})
        assert clients[0].reply().status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_stop_answers_parked_polls(web: WebProcess, worker: ScriptedWorker, number: signal.Signals) -> None:
    """A waiting poll gets an ordinary answer when the process stops, not an error."""
    _, path = live_poll(web, worker)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(web.connect())) for _ in range(300)]  # more than have one turn
        for client in clients:
            client.send_head("GET", path, {})
        with closing(web.connect()) as last:
            last.send_head("GET", "/healthz", {})
            assert last.reply().status == 200
        web.signal(number)
        assert {client.reply().status for client in clients} == {200}
        assert web.wait(5) == 0


def test_who_hangs_up_makes_room(valkey_url: str, worker: ScriptedWorker) -> None:
    """The place of a parked poll is free as soon as its connection is gone."""
    with WebProcess(
        valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_LOG_LEVEL="DEBUG", TOKENTAIL_MAX_KEY_WAITS=_ONE_WAITS
    ) as web:
        writer, path = live_poll(web, worker)
        first = web.connect()
        first.send_head("GET", path, {})
        eventually(lambda: web.ask("GET", path.replace("wait=20", "wait=1")).json["poll_after_ms"], what="it is full")
        first.close()
        with closing(web.connect()) as client:
            client.send_head("GET", path, {})
            began = time.monotonic()
            time.sleep(0.5)
            worker.say(writer, "b", COMPLETED)
            assert client.reply().json["tokens"] == ["b"]
            assert time.monotonic() - began >= 0.5
