"""The limits of a web process: how many connections, how long a reader may stall, and how soon everybody is let go."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.raw_socket import RawSocket
from tests.integration.web_process import WebProcess
from tests.scrape import scrape
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.log.cursor import parse_cursor

STALL_S = 4.0
SMALL = 4096  # bytes that the system takes in for a client that reads nothing


@pytest.fixture
def web(worker: ScriptedWorker, valkey_url: str) -> Iterator[WebProcess]:
    settings = {"TOKENTAIL_STALL_S": str(STALL_S), "TOKENTAIL_MAX_CONNECTIONS": "560", "TOKENTAIL_LEASE_S": "600"}
    with WebProcess(valkey_url, TOKENTAIL_WEB_METRICS="127.0.0.1:0", **settings) as web:
        yield web


def submitted(web: WebProcess) -> str:
    return str(web.submit().json["id"])


def say_twelve_megabytes(worker: ScriptedWorker, job_id: str) -> None:
    writer = worker.take(job_id)
    for _ in range(10):
        worker.say(writer, *("x" * 4000 for _ in range(300)))


def waits(web: WebProcess) -> float:
    """How many readers wait, by the process's own metrics."""
    return scrape(web.log).value("tokentail_http_waits") or 0


def resident_mb(web: WebProcess) -> float:
    status = Path(f"/proc/{web.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def reading_nothing(port: int, path: str) -> socket.socket:
    """A client that has asked, and reads no answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def connections(web: WebProcess) -> int:
    """How many the process holds, as the system sees it."""
    rows = (line.split() for line in Path(f"/proc/{web.pid}/net/tcp").read_text().splitlines()[1:])
    return sum(row[1].endswith(f":{web.port:04X}") and row[3] == "01" for row in rows)


def test_readers_who_take_nothing_are_dropped(web: WebProcess, worker: ScriptedWorker) -> None:
    """A stream or socket that is not read holds a bounded part of the log in memory, and after a while its connection
    is closed, whatever was still to be sent; others are served meanwhile."""
    job_id, other = submitted(web), submitted(web)
    say_twelve_megabytes(worker, job_id)
    assert web.ask("GET", f"/v1/jobs/{job_id}/tokens?limit=1").status == 200
    before = resident_mb(web)
    with ExitStack() as stack:
        for kind in ("ws", "stream") * 10:
            path = f"/v1/jobs/{job_id}/{kind}?limit=100"
            if kind == "ws":
                stack.enter_context(RawSocket(web.port, path, read_buffer=SMALL)).head()
            else:
                stack.enter_context(reading_nothing(web.port, path))
        began = time.monotonic()
        eventually(lambda: connections(web) == 20, what="all twenty are there")
        assert web.ask("GET", f"/v1/jobs/{other}").status == 200
        assert time.monotonic() - began < STALL_S
        assert resident_mb(web) - before < 60, "twenty times 12 MB is not kept"
        eventually(lambda: connections(web) == 0, within_s=STALL_S * 8, what="their connections are closed")
    assert "Traceback" not in web.log


def test_streams_and_sockets_have_a_place_for_as_long_as_they_are_open(web: WebProcess, worker: ScriptedWorker) -> None:
    """A stream or socket counts also while it has something to send that its client does not read."""
    job_id = submitted(web)
    say_twelve_megabytes(worker, job_id)
    with ExitStack() as stack:
        stack.enter_context(RawSocket(web.port, f"/v1/jobs/{job_id}/ws?limit=100", read_buffer=SMALL)).head()
        stack.enter_context(reading_nothing(web.port, f"/v1/jobs/{job_id}/stream?limit=100"))
        eventually(lambda: waits(web) == 2, within_s=STALL_S, what="both count")
    eventually(lambda: waits(web) == 0, within_s=2, what="none counts")


def test_a_whole_answer_that_nobody_takes_is_given_up(web: WebProcess, worker: ScriptedWorker) -> None:
    """A large poll or text that is asked for and not read is not kept for ever either."""
    job_id = submitted(web)
    say_twelve_megabytes(worker, job_id)
    with ExitStack() as stack:
        for kind in ("text", "tokens?limit=10000", "tokens?limit=10000&wait=5", "events?limit=10000"):
            stack.enter_context(reading_nothing(web.port, f"/v1/jobs/{job_id}/{kind}"))
        eventually(lambda: connections(web) == 4, what="all are there")
        eventually(lambda: connections(web) == 0, within_s=STALL_S * 10, what="their connections are closed")


def test_whoever_hangs_up_frees_its_wait(web: WebProcess) -> None:
    """Polls, streams and sockets alike, in a moment: nobody waits for the time-out of somebody who left."""
    job_id = submitted(web)
    with ExitStack() as stack:
        for kind in ("tokens?wait=20", "events?wait=20", "stream", "stream?events=1"):
            client = stack.enter_context(closing(web.connect()))
            client.send_head("GET", f"/v1/jobs/{job_id}/{kind}", {})
        client = stack.enter_context(closing(web.connect()))
        client.send_head("GET", f"/v1/poll?job={job_id}&wait=20", {})
        stack.enter_context(RawSocket(web.port, f"/v1/jobs/{job_id}/ws")).head()
        eventually(lambda: waits(web) == 6, what="all wait")
    eventually(lambda: waits(web) == 0, within_s=2, what="nobody waits")


def test_one_connection_too_many_is_told(web: WebProcess) -> None:
    """Beyond the limit every request and socket is a 503 with Retry-After at once; a closed connection makes room."""
    job_id = submitted(web)
    with ExitStack() as stack:
        for _ in range(560):
            stack.enter_context(closing(web.connect()))
        eventually(lambda: web.ask("GET", "/healthz").status == 503, what="it is full")
        for method, path in (("GET", f"/v1/jobs/{job_id}/tokens"), ("GET", "/readyz"), ("POST", "/v1/jobs")):
            reply = web.ask(method, path)
            assert (reply.status, reply.headers["content-type"]) == (503, "application/problem+json")
            assert (reply.headers["retry-after"], reply.headers["connection"]) == ("5", "close")
        with RawSocket(web.port, f"/v1/jobs/{job_id}/ws") as client:
            assert client.head().startswith(b"HTTP/1.1 503 ")
    eventually(lambda: web.ask("GET", "/healthz").status == 200, what="there is room")


def test_a_stop_lets_everybody_go(web: WebProcess, worker: ScriptedWorker) -> None:
    """At SIGTERM polls are answered, streams end and sockets close with all that was said; the process is gone in two
    seconds with exit code 0."""
    job_id = submitted(web)
    writer = worker.take(job_id)
    with ExitStack() as stack:
        polls = [stack.enter_context(closing(web.connect(60))) for _ in range(500)]
        for poll in polls:
            poll.send_head("GET", f"/v1/jobs/{job_id}/tokens?wait=20", {})
        streams = [stack.enter_context(closing(web.connect(60))) for _ in range(20)]
        for stream in streams:
            stream.send_head("GET", f"/v1/jobs/{job_id}/stream", {})
        sockets = [stack.enter_context(RawSocket(web.port, f"/v1/jobs/{job_id}/ws")) for _ in range(20)]
        for each in sockets:
            assert b" 101 " in each.head()
        eventually(lambda: waits(web) == 540, within_s=20, what="all wait")
        began = time.monotonic()
        web.signal(signal.SIGTERM)
        replies = [poll.reply() for poll in polls]
        events = [stream.reply().body for stream in streams]
        closings = [each.closing() for each in sockets]
        assert web.wait(5) == 0
        assert time.monotonic() - began < 2
    assert {reply.status for reply in replies} == {200}
    assert {(tuple(reply.json["tokens"]), reply.json["poll_after_ms"] > 0) for reply in replies} == {((), True)}
    cursor = replies[0].json["cursor"]
    assert set(events) == {b"retry: 1000\n"}
    assert {code for code, _ in closings} == {1001}
    assert all("cursor" in reason for _, reason in closings)
    assert "Traceback" not in web.log
    assert " error " not in web.log
    worker.say(writer, "a")
    assert worker.backend.store.read(job_id, parse_cursor(cursor), 10).tokens == [b'"a"']


def test_what_was_said_before_a_stop_is_sent_before_the_end(web: WebProcess, worker: ScriptedWorker) -> None:
    """A socket's last frames come before its 1001; and a client that does not answer it keeps nobody."""
    job_id = submitted(web)
    with RawSocket(web.port, f"/v1/jobs/{job_id}/ws?linger_ms=5000") as client:
        client.head()
        worker.say(worker.take(job_id), "said")
        eventually(lambda: waits(web) == 1, what="it gathers")
        began = time.monotonic()
        web.signal(signal.SIGTERM)
        _, body = client.next_frame()
        assert b'"tokens":["said"]' in body
        assert client.closing()[0] == 1001
        assert web.wait(5) == 0
        assert time.monotonic() - began < 2
