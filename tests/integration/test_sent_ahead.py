"""Requests that a client sends before it has the last answer: all of them end with their connection."""

import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.integration.web_process import RawClient, WebProcess
from tests.scrape import scrape
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF_A_BODY = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
)
BIG_BODY = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 400000\r\n\r\n"
    + b" " * 300_000
)
UPGRADE = (
    b"GET /v1/jobs/x/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
BEHIND = {
    "one": HEALTH,
    "three": HEALTH * 3,
    "hundreds": HEALTH * 500,
    "half a head": HEALTH[:20],
    "one and half a head": HEALTH + HEALTH[:20],
    "half a body": HALF_A_BODY,
    "a body that is not read": BIG_BODY,
    "a poll": b"GET /v1/jobs/JOB/tokens?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a stream": b"GET /v1/jobs/JOB/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a WebSocket": UPGRADE,
    "nonsense": b"nonsense\r\n\r\n",
}
PATIENT = {
    "stream": "GET /v1/jobs/JOB/stream",
    "raw stream": "GET /stream?query=why",
    "poll": "GET /v1/jobs/JOB/tokens?wait=20",
    "poll of events": "GET /v1/jobs/JOB/events?wait=20&limit=7",
    "poll of many": "GET /v1/poll?job=JOB:0&wait=20",
    "submission": "POST /v1/jobs",
}
SUBMITTED = b'{"prompt": "why"}'


@pytest.fixture(scope="module")
def shared_web(valkey_url: str) -> Iterator[WebProcess]:
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_WEB_METRICS="127.0.0.1:0") as web:
        yield web


@pytest.fixture
def web(shared_web: WebProcess, worker: ScriptedWorker) -> Iterator[WebProcess]:
    yield shared_web
    assert_no_faults(shared_web)


def assert_no_faults(web: WebProcess) -> None:
    """Nothing that a client does is a fault of the server in its log."""
    for word in ("Traceback", "Exception", "ASGI", "Cancel ", "request.failed"):
        assert word not in web.log, web.log[-2000:]


def waits(web: WebProcess) -> float | None:
    return scrape(web.log).value("tokentail_http_waits")


def send(client: RawClient, asked: str, job_id: str) -> None:
    method, path = asked.replace("JOB", job_id).split(" ")
    head = {"Accept": "text/event-stream"}
    if method == "POST":
        head = {"Content-Type": "application/json", "Content-Length": str(len(SUBMITTED)), "Prefer": "wait=20"}
    client.send_head(method, path, head)
    if method == "POST":
        client.send(SUBMITTED)


def waiting(web: WebProcess, asked: str, job_id: str, count: int) -> list[RawClient]:
    """`count` connections, on each of which the request waits for news."""
    clients = [web.connect() for _ in range(count)]
    for client in clients:
        send(client, asked, job_id)
    eventually(lambda: waits(web) == count, what="all of them wait")
    return clients


def reset(client: RawClient) -> None:
    """Close the connection by a reset, as the system does for a program that was killed."""
    client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("asked", PATIENT.values(), ids=PATIENT.keys())
@pytest.mark.parametrize("end", [RawClient.close, reset, RawClient.say_no_more], ids=["close", "reset", "half-close"])
def test_a_client_that_sent_ahead_and_hangs_up_frees_its_places(web: WebProcess, asked: str, end: object) -> None:
    """Twenty clients send a second request behind one that waits, and leave: within a second nobody waits for them."""
    assert callable(end)
    clients = waiting(web, asked, web.submit().json["id"], 20)
    for client in clients:
        client.send(HEALTH)
    for client in clients:
        end(client)
    eventually(lambda: waits(web) == 0, within_s=1.5, what="all places are free")
    for client in clients:
        client.close()


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND.keys())
@pytest.mark.parametrize("is_one_packet", [True, False], ids=["at once", "later"])
def test_a_hang_up_is_noticed_whatever_was_sent_ahead(web: WebProcess, behind: bytes, is_one_packet: bool) -> None:
    """Whole requests, halves, large ones, other ways of speaking: a stream in front of them ends with its client."""
    job_id = web.submit().json["id"]
    behind = behind.replace(b"JOB", job_id.encode())
    if is_one_packet:
        clients = [web.connect()]
        head = f"GET /v1/jobs/{job_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        clients[0].send(head + behind)
        eventually(lambda: waits(web) == 1, what="it waits")
    else:
        clients = waiting(web, PATIENT["stream"], job_id, 1)
        clients[0].send(behind)
    clients[0].close()
    eventually(lambda: waits(web) == 0, within_s=1.5, what="its place is free")


def test_answers_come_in_the_order_of_requests(web: WebProcess, worker: ScriptedWorker) -> None:
    """What was sent ahead of a stream's end is answered behind it, each in turn, and the connection goes on."""
    job_id = web.submit().json["id"]
    [client] = waiting(web, PATIENT["stream"], job_id, 1)
    client.send(HEALTH)
    send(client, f"GET /v1/jobs/{job_id}/tokens", job_id)
    send(client, "GET /nowhere", job_id)
    worker.answer(job_id, "a", "b")
    streamed = client.reply()
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert b'"done":true' in streamed.body
    assert client.reply().json == {"status": "ok"}
    assert client.reply().json["tokens"] == ["a", "b"]
    assert client.reply().status == 404
    client.send(HEALTH)
    assert client.reply().status == 200
    client.close()


def test_a_client_that_says_no_more_gets_every_answer_that_is_due(web: WebProcess) -> None:
    """Two whole requests and half of a third, then a half-closed connection: two answers, and its end."""
    with closing(web.connect()) as client:
        send(client, "GET /v1/models", "")
        client.send(HEALTH + HALF_A_BODY)
        client.say_no_more()
        assert client.reply().json["default"] == "demo"
        assert client.reply().json == {"status": "ok"}
        assert client.is_closed()


def test_a_client_that_says_no_more_waits_for_no_news(web: WebProcess) -> None:
    """What is answered by looking is answered; a request behind it that would wait ends the connection."""
    job_id = web.submit().json["id"]
    with closing(web.connect()) as client:
        send(client, "GET /v1/models", "")
        send(client, PATIENT["poll of many"], job_id)
        client.say_no_more()
        assert client.reply().json["default"] == "demo"
        assert client.is_closed()
    assert waits(web) == 0


def test_half_a_body_ends_with_its_half_of_the_connection(web: WebProcess) -> None:
    """A body of which no more can come is not waited for."""
    with closing(web.connect()) as client:
        client.send(HALF_A_BODY)
        client.say_no_more()
        assert client.is_closed()


@pytest.mark.parametrize(
    "behind", [b"nonsense\r\n\r\n", HALF_A_BODY.replace(b"Content-Length: 100", b"Content-Length: x")]
)
def test_a_refusal_is_answered_in_its_turn(web: WebProcess, worker: ScriptedWorker, behind: bytes) -> None:
    """What cannot be read behind a stream is refused behind the stream's end, not in the middle of it."""
    job_id = web.submit().json["id"]
    [client] = waiting(web, PATIENT["stream"], job_id, 1)
    client.send(HEALTH + behind)
    worker.answer(job_id, "a")
    assert b'"done":true' in client.reply().body
    assert client.reply().json == {"status": "ok"}
    refused = client.reply()
    assert (refused.status, refused.headers["connection"]) == (400, "close")
    assert client.is_closed()
    client.close()


def test_a_websocket_does_not_break_into_an_answer(web: WebProcess, worker: ScriptedWorker) -> None:
    """A handshake behind a stream is answered behind it, like any request that does not upgrade; then it is over."""
    job_id = web.submit().json["id"]
    [client] = waiting(web, PATIENT["stream"], job_id, 1)
    client.send(UPGRADE.replace(b"/x/", f"/{job_id}/".encode()))
    worker.answer(job_id, "a")
    assert b'"done":true' in client.reply().body
    refused = client.reply()
    assert (refused.status, refused.headers["connection"]) == (400, "close")
    assert client.is_closed()
    client.close()


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND.keys())
def test_a_stop_ends_what_was_sent_ahead(valkey_url: str, worker: ScriptedWorker, behind: bytes) -> None:
    """At a signal the stream ends, what is whole is answered behind it, and the process is gone in time."""
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_WEB_METRICS="127.0.0.1:0") as web:
        job_id = web.submit().json["id"]
        [client] = waiting(web, PATIENT["stream"], job_id, 1)
        client.send(behind.replace(b"JOB", job_id.encode()))
        lonely = web.connect()
        lonely.send(HALF_A_BODY)
        web.signal(signal.SIGTERM)
        assert client.reply().status == 200
        if behind.startswith(HEALTH):
            assert client.reply().json == {"status": "ok"}
        assert web.wait(5) == 0
        client.close()
        lonely.close()
        assert_no_faults(web)
