"""WebSockets of a real process: what a poll would say, in frames; how they end, and whom they are refused."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.raw_socket import BINARY, CLOSE, CONTINUED, PING, PONG, TEXT, RawSocket, frame
from tests.integration.web_process import WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.log.element import Reasoning
from tokentail.redis.backend import wire

KEY: Any = {"Authorization": "Bearer key-one"}
OTHER_KEY: Any = {"Authorization": "Bearer key-two"}
CANCEL = '{"type":"cancel"}'
SETTINGS = {
    "TOKENTAIL_API_KEYS": "key-one,key-two",
    "TOKENTAIL_CORS_ORIGINS": "https://app.example",
    "TOKENTAIL_MAX_KEY_WAITS": "3",
    "TOKENTAIL_LEASE_S": "600",
    "TOKENTAIL_LOG_LEVEL": "DEBUG",
}


@pytest.fixture(scope="module")
def shared_web(valkey_url: str) -> Iterator[WebProcess]:
    with WebProcess(valkey_url, **SETTINGS) as web:
        yield web


@pytest.fixture
def web(shared_web: WebProcess, worker: ScriptedWorker) -> WebProcess:
    """The process, over an empty store in which a worker serves demo."""
    return shared_web


def submitted(web: WebProcess) -> str:
    return str(web.submit(**KEY).json["id"])


def opened(web: WebProcess, job_id: str, query: str = "", **headers: str) -> ClientConnection:
    """A socket with the key, unless it is given other headers."""
    url = f"ws://127.0.0.1:{web.port}/v1/jobs/{job_id}/ws?{query}"
    return connect(url, additional_headers=headers or KEY, compression=None, open_timeout=10)


def body(socket: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    decoded: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return decoded


def ended(socket: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """All further frames, and the code and reason with which it is closed."""
    bodies = []
    closed = None
    while closed is None:
        try:
            bodies.append(body(socket))
        except ConnectionClosed as end:
            closed = end
    assert closed.rcvd is not None, "the connection was lost without a close frame"
    return bodies, closed.rcvd.code, closed.rcvd.reason


def refused(web: WebProcess, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and problem of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as raised:
        connect(f"ws://127.0.0.1:{web.port}{path}", compression=None, open_timeout=10, **options)
    response = raised.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem: dict[str, Any] = json.loads(response.body or b"")
    assert problem["status"] == response.status_code
    return response.status_code, problem


def test_a_job_is_followed_to_its_end(web: WebProcess, worker: ScriptedWorker) -> None:
    """Each frame is a poll's body; the last has the outcome, and the socket is closed with 1000."""
    job_id = submitted(web)
    with opened(web, job_id) as socket:
        writer = worker.take(job_id)
        worker.say(writer, "Hello")
        first = body(socket)
        assert (first["job_id"], first["tokens"], first["done"], first["poll_after_ms"]) == (
            job_id,
            ["Hello"],
            False,
            0,
        )
        worker.say(writer, " you", COMPLETED)
        bodies, code, reason = ended(socket)
        assert [b["tokens"] for b in bodies] == [[" you"]]
        assert (bodies[-1]["done"], bodies[-1]["finish_reason"], code) == (True, "stop", 1000)
        assert "ended" in reason


def test_a_socket_goes_on_where_any_transport_stopped(web: WebProcess, worker: ScriptedWorker) -> None:
    """The cursor of a poll or a frame is that of every transport; `limit` bounds a frame."""
    job_id = submitted(web)
    worker.answer(job_id, "a", "b", "c")
    cursor = web.ask("GET", f"/v1/jobs/{job_id}/tokens?limit=2", **KEY).json["cursor"]
    with opened(web, job_id, f"cursor={cursor}&limit=1") as socket:
        bodies, code, _ = ended(socket)
    assert [b["tokens"] for b in bodies] == [["b"], ["c"], []]
    assert code == 1000
    with opened(web, job_id, f"cursor={bodies[0]['cursor']}") as socket:
        assert ended(socket)[0][0]["tokens"] == ["c"]
    with opened(web, job_id, f"cursor={bodies[-1]['cursor']}") as socket:
        assert [b["done"] for b in ended(socket)[0]] == [True], "a reader that has everything gets the end once more"


def test_a_reader_of_tokens_gets_past_a_long_thought(web: WebProcess, worker: ScriptedWorker) -> None:
    """Frames without tokens bring the cursor on."""
    job_id = submitted(web)
    worker.say(worker.take(job_id), *[Reasoning("hm")] * 2500, "Hello", COMPLETED)
    with opened(web, job_id) as socket:
        bodies, code, _ = ended(socket)
    assert [b["tokens"] for b in bodies] == [[], [], ["Hello"]]
    assert code == 1000


def test_another_generation_resets_the_reader(web: WebProcess, worker: ScriptedWorker) -> None:
    """The frame says `reset`; what follows it is the whole text."""
    job_id = submitted(web)
    with opened(web, job_id) as socket:
        writer = worker.take(job_id)
        worker.say(writer, "old")
        assert body(socket)["tokens"] == ["old"]
        writer.start("another1", "demo", "demo")
        worker.say(writer, "new", COMPLETED)
        bodies, _, _ = ended(socket)
    assert bodies[0]["reset"]
    assert [token for b in bodies for token in b["tokens"]] == ["new"]


def test_events_come_when_they_are_asked_for(web: WebProcess, worker: ScriptedWorker) -> None:
    """`events=1`: the bodies are those of /events."""
    job_id = submitted(web)
    writer = worker.take(job_id)
    worker.say(writer, Reasoning("hm"), "a", COMPLETED)
    with opened(web, job_id, "events=1") as socket:
        bodies, _, _ = ended(socket)
    assert [e if isinstance(e, str) else e["type"] for b in bodies for e in b["events"]] == [
        "start",
        "reasoning",
        "a",
        "end",
    ]


def test_the_owner_cancels(web: WebProcess) -> None:
    """`cancel` ends the job, and its end comes as any other; said again it changes nothing."""
    job_id = submitted(web)
    with opened(web, job_id) as socket:
        socket.send(CANCEL)
        socket.send(CANCEL)
        bodies, code, _ = ended(socket)
    assert (bodies[-1]["status"], code) == ("cancelled", 1000)


def test_a_read_token_reads_and_cannot_cancel(web: WebProcess, worker: ScriptedWorker) -> None:
    """A share link's reader sees everything; its `cancel` is refused with 4403, and the job goes on."""
    job_id = submitted(web)
    token = web.ask("POST", f"/v1/jobs/{job_id}/share", **KEY).json["token"]
    writer = worker.take(job_id)
    with opened(web, job_id, f"token={token}", X_Nothing="") as socket:
        worker.say(writer, "a")
        assert body(socket)["tokens"] == ["a"]
        socket.send(CANCEL)
        assert ended(socket)[1] == 4403
    worker.say(writer, "b", COMPLETED)
    with opened(web, job_id, f"token={token}", X_Nothing="") as socket:
        assert ended(socket)[0][-1]["status"] == "completed"
    assert refused(web, f"/v1/jobs/{submitted(web)}/ws?token={token}")[0] == 403


def test_a_session_opens_sockets_of_our_own_pages(web: WebProcess, worker: ScriptedWorker) -> None:
    """The cookie goes with the handshake; an allowed page of another origin has no use of it."""
    job_id = submitted(web)
    cookie = web.ask("POST", "/v1/session", **KEY).headers["set-cookie"].partition(";")[0]
    worker.answer(job_id, "a")
    with opened(web, job_id, Cookie=cookie, Origin=f"http://127.0.0.1:{web.port}") as socket:
        assert ended(socket)[1] == 1000
    path = f"/v1/jobs/{job_id}/ws"
    assert refused(web, path, additional_headers={"Cookie": cookie, "Origin": "https://app.example"})[0] == 401
    with opened(web, job_id, Origin="https://app.example", **KEY) as socket:
        assert ended(socket)[1] == 1000


def test_what_a_poll_is_refused_a_socket_is_refused(web: WebProcess) -> None:
    """Before the handshake, with the same status and problem."""
    job_id, deleted = submitted(web), submitted(web)
    web.ask("DELETE", f"/v1/jobs/{deleted}", **KEY)
    for headers, path, status in (
        ({}, f"/v1/jobs/{job_id}/%s", 401),
        ({"Authorization": "Bearer wrong"}, f"/v1/jobs/{job_id}/%s", 401),
        (OTHER_KEY, f"/v1/jobs/{job_id}/%s", 404),
        (KEY, "/v1/jobs/unheard-of/%s", 404),
        (KEY, f"/v1/jobs/{deleted}/%s", 410),
        (KEY, f"/v1/jobs/{job_id}/%s?cursor=x", 400),
        (KEY, f"/v1/jobs/{job_id}/%s?limit=x&linger_ms=y", 422),
    ):
        problem = refused(web, path % "ws", additional_headers=headers)
        poll = web.ask("GET", path % "tokens", **headers)
        assert problem == (status, poll.json)
    assert refused(web, f"/v1/jobs/{job_id}/ws?events=x", additional_headers=KEY)[0] == 422
    assert refused(web, "/v1/jobs", additional_headers=KEY)[0] == 404
    assert web.ask("GET", f"/v1/jobs/{job_id}/ws", **KEY).status == 400


def test_pages_of_other_sites_open_no_socket(web: WebProcess) -> None:
    """Browsers always say Origin, and let every page open sockets: so the server looks."""
    path = f"/v1/jobs/{submitted(web)}/ws"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{web.port + 1}"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert refused(web, path, additional_headers={**KEY, **headers})[0] == 403
    with RawSocket(web.port, path, "Host: evil.example") as socket:
        assert socket.head().startswith(b"HTTP/1.1 403 ")


def test_too_many_readers_are_told_to_come_later(web: WebProcess) -> None:
    """A socket too many is a 429 before the handshake, with Retry-After; a reader that hangs up makes room at once."""
    job_id = submitted(web)
    path = f"/v1/jobs/{job_id}/ws"

    def is_refused() -> bool:
        with RawSocket(web.port, path, "Authorization: Bearer key-one") as another:
            head = another.head()
        return head.startswith(b"HTTP/1.1 429 ") and b"retry-after: 5\r\n" in head.lower()

    with opened(web, job_id), opened(web, job_id):
        with opened(web, job_id):
            eventually(is_refused, what="the three wait")
        eventually(lambda: not is_refused(), what="there is room")


def test_a_job_deleted_meanwhile_ends_the_socket(web: WebProcess, worker: ScriptedWorker) -> None:
    """4410: what a poll's 410 would be."""
    job_id = submitted(web)
    with opened(web, job_id) as socket:
        worker.say(worker.take(job_id), "a")
        body(socket)
        web.ask("DELETE", f"/v1/jobs/{job_id}", **KEY)
        assert ended(socket)[1] in {1000, 4410}, "its cancellation may be seen before its deletion"


def test_an_outage_of_redis_ends_the_socket_with_a_code_of_its_own() -> None:
    """4503 within a few seconds; connected again with its cursor, the reader has everything."""
    with ValkeyServer(is_durable=True) as server, WebProcess(server.url, TOKENTAIL_LEASE_S="600") as web:
        client = server.connect()
        worker = ScriptedWorker(wire(client, client, load_settings({})))
        worker.beat()
        job_id = str(web.submit().json["id"])
        writer = worker.take(job_id)
        with opened(web, job_id) as socket:
            worker.say(writer, "a")
            cursor = body(socket)["cursor"]
            server.kill()
            bodies, code, reason = ended(socket)
            assert (bodies, code) == ([], 4503)
            assert "cursor" in reason
        server.start()
        eventually(lambda: web.ask("GET", "/readyz").status == 200, what="Redis is back")
        worker.say(writer, "b", COMPLETED)
        with opened(web, job_id, f"cursor={cursor}") as socket:
            assert [token for b in ended(socket)[0] for token in b["tokens"]] == ["b"]
        client.close()


HOSTILE = {
    "not-json": (frame(TEXT, b"cancel"), 1007),
    "no-utf8": (frame(TEXT, b"\xff\xfe"), 1007),
    "nested": (frame(TEXT, b'{"type":' + b"[" * 4000), 1008),
    "unknown": (frame(TEXT, b'{"type":"stop"}'), 1008),
    "no-object": (frame(TEXT, b"[]"), 1008),
    "more": (frame(TEXT, b'{"type":"cancel","job":"x"}'), 1008),
    "binary": (frame(BINARY, CANCEL.encode()), 1003),
    "large": (frame(TEXT, b"x" * 5000), 1009),
    "announced-large": (b"\x81\xff" + struct.pack("!Q", 1 << 40) + bytes(4), 1009),
    "large-in-pieces": (frame(TEXT, b"x" * 3000, is_last=False) + frame(CONTINUED, b"x" * 3000), 1009),
    "endless-pieces": (frame(TEXT, is_last=False) + frame(CONTINUED, is_last=False) * 100, 1009),
    "unmasked": (frame(TEXT, CANCEL.encode(), is_masked=False), 1002),
    "reserved": (b"\xf1\x80" + bytes(4), 1002),
    "long-ping": (frame(PING, b"x" * 126), 1002),
    "flood": (frame(TEXT, b'{"type":"stop"}') * 100, 1008),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_client_may_say_one_thing_only(web: WebProcess, name: str) -> None:
    """Anything else closes the socket, by a code and a reason; the job is not touched."""
    job_id = submitted(web)
    said, code = HOSTILE[name]
    with RawSocket(web.port, f"/v1/jobs/{job_id}/ws", "Authorization: Bearer key-one") as socket:
        assert socket.head().startswith(b"HTTP/1.1 101 ")
        socket.send(said)
        closed_by, reason = socket.closing()
        assert closed_by == code
        assert reason
        socket.send(frame(CLOSE, struct.pack("!H", code)))
        assert socket.rest() == b""
    assert web.ask("GET", f"/v1/jobs/{job_id}", **KEY).json["status"] == "queued"
    assert "Traceback" not in web.log
    assert " error " not in web.log


def test_a_ping_is_answered(web: WebProcess) -> None:
    """A client's ping gets a pong, and a pong that nobody asked for is passed over."""
    with RawSocket(web.port, f"/v1/jobs/{submitted(web)}/ws", "Authorization: Bearer key-one") as socket:
        socket.head()
        socket.send(frame(PONG, b"unasked") + frame(PING, b"there?"))
        assert socket.next_frame() == (PONG, b"there?")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (tuple(f"X-{n}: 1" for n in range(200)), 431),
        (("X: " + "x" * 9000,), 431),
    ],
)
def test_a_broken_handshake_is_a_problem(web: WebProcess, head: tuple[str, ...], status: int) -> None:
    """Whatever is wrong with it, the answer comes at once and says so."""
    path = f"/v1/jobs/{submitted(web)}/ws"
    with RawSocket(web.port, path, "Authorization: Bearer key-one", *head) as socket:
        answer = socket.rest()
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"application/problem+json" in answer
    with RawSocket(web.port, path, version=12) as socket:
        assert b'"status":400' in socket.rest()


def test_neither_token_nor_cookie_is_logged(web: WebProcess, worker: ScriptedWorker) -> None:
    """A socket is one line: its path, the status, the code, and how long it was."""
    job_id = submitted(web)
    worker.answer(job_id, "a")
    token = web.ask("POST", f"/v1/jobs/{job_id}/share", **KEY).json["token"]
    cookie = web.ask("POST", "/v1/session", **KEY).headers["set-cookie"].partition(";")[0]
    with opened(web, job_id, f"token={token}", X_Nothing="") as socket:
        ended(socket)
    with opened(web, job_id, Cookie=cookie) as socket:
        ended(socket)
    web.ask("GET", f"/v1/jobs/{job_id}/tokens?token={token}")
    line = f"request method=GET path=/v1/jobs/{job_id}/ws status=101"
    eventually(lambda: web.log.count(line) == 2, what="each socket has its line")
    for secret in (token, cookie.partition("=")[2], "key-one", "token="):
        assert secret not in web.log
