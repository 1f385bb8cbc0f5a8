"""The web process against clients that mean it ill, over a socket."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.integration.web_process import RawClient, Reply, WebProcess
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient

LIMIT = 2048


@pytest.fixture(scope="module")
def shared_web(valkey_url: str) -> Iterator[WebProcess]:
    with WebProcess(valkey_url, TOKENTAIL_MAX_BODY_BYTES=str(LIMIT), TOKENTAIL_WEB_THREADS="4") as web:
        yield web


@pytest.fixture
def web(shared_web: WebProcess, real_client: RedisClient) -> WebProcess:
    """The process, over an empty store in which a worker serves demo."""
    ScriptedWorker(wire(real_client, real_client, load_settings({}))).beat()
    return shared_web


def assert_problem(reply: Reply, status: int) -> None:
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply
    assert reply.json["status"] == status


def test_a_body_announced_too_large_is_refused_before_it_is_sent(web: WebProcess) -> None:
    """Content-Length over the limit is answered without waiting for a byte of the body."""
    for expect in ({}, {"Expect": "100-continue"}):
        with contextlib.closing(web.connect()) as client:
            head = {"Content-Type": "application/json", "Content-Length": str(LIMIT + 1), **expect}
            client.send_head("POST", "/v1/jobs", head)
            assert_problem(client.reply(), 413)


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(web: WebProcess) -> None:
    """A body that does not say its length is read up to the limit and no further."""
    with contextlib.closing(web.connect()) as client:
        client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        client.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")  # and no end
        assert_problem(client.reply(), 413)


def test_a_body_in_chunks_of_one_byte_is_a_body(web: WebProcess) -> None:
    """All chunks of one read arrive as one piece, and nothing of a second request on the connection is mixed in."""
    with contextlib.closing(web.connect()) as client:
        for prompt in (b"a" * 1000, b"b" * 1000):
            client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
            body = b'{"prompt": "%b"}' % prompt
            client.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
            assert client.reply().status == 202


def test_more_headers_than_the_limit_are_refused(web: WebProcess) -> None:
    """Each costs memory, however short it is: 431, for a poll and for a submission."""
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/jobs")):
        for count, is_refused in ((150, False), (250, True), (5000, True)):
            with contextlib.closing(web.connect()) as client:
                client.send_head(method, path, {f"X{number}": "" for number in range(count)})
                reply = client.reply()
                assert (reply.status == 431) is is_refused, reply
                assert not is_refused or reply.headers["connection"] == "close"
                assert reply.headers["tokentail"] == "1"


def test_a_chunked_body_within_the_limit_is_a_body(web: WebProcess) -> None:
    """Chunked requests work; nothing of them is lost on the way to WSGI, which knows no chunks."""
    with contextlib.closing(web.connect()) as client:
        client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        for part in (b'{"prompt": ', b'"why"}'):
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        client.send(b"0\r\n\r\n")
        assert client.reply().status == 202


def test_slow_bodies_take_no_thread(web: WebProcess) -> None:
    """Clients that never finish their bodies, more than there are threads, keep nobody else waiting."""
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            client = stack.enter_context(contextlib.closing(web.connect()))
            client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Content-Length": "100"})
            client.send(b"{")
        assert web.ask("GET", "/healthz").status == 200
        assert web.submit().status == 202


def test_waiting_polls_leave_threads_for_the_rest(web: WebProcess) -> None:
    """More long polls than threads: the rest of the calls is answered all the same."""
    job_id = web.submit().json["id"]
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            client = stack.enter_context(contextlib.closing(web.connect()))
            client.send_head("GET", f"/v1/jobs/{job_id}/tokens?wait=20", {})
        began = time.monotonic()
        assert web.ask("GET", f"/v1/jobs/{job_id}").status == 200
        assert time.monotonic() - began < 5
        web.ask("DELETE", f"/v1/jobs/{job_id}")


def test_a_foreign_host_is_refused(web: WebProcess) -> None:
    """A name that a page rebound to this machine opens nothing, sent once or twice."""
    assert_problem(web.ask("GET", "/v1/jobs", Host="evil.example"), 403)
    with contextlib.closing(web.connect()) as client:
        client.send(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert_problem(client.reply(), 403)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/v1/jobs", "localhost", 200),
        ("http://127.0.0.1:8000/v1/jobs", "evil.example", 200),
        ("http://evil.example/v1/jobs", "localhost", 403),
        ("http://evil.example", "localhost", 400),
        ("HTTP://user@localhost/v1/jobs", "localhost", 403),
        ("/v1/jobs", "localhost\r\nHost: evil.example", 403),
        ("/v1/jobs", "evil.example\r\nHost: localhost", 403),
        ("/v1/jobs", "localhost\r\nX-Forwarded-Host: evil.example", 200),
        ("/v1/jobs", "evil.example\r\nX-Forwarded-Host: localhost", 403),
    ],
)
def test_one_host_name_counts(web: WebProcess, target: str, host: str, status: int) -> None:
    """The target's if it names one, else the Host header's, of which there is one; what proxies say does not count."""
    with contextlib.closing(web.connect()) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.reply().status == status


def test_a_request_without_a_host_name_is_refused(web: WebProcess) -> None:
    """HTTP/1.0 has none, and browsers do not speak it."""
    with contextlib.closing(web.connect()) as client:
        client.send(b"GET /v1/jobs HTTP/1.0\r\n\r\n")
        assert client.reply().status == 403


def test_a_cross_site_write_is_refused_before_its_body(web: WebProcess) -> None:
    """A form or fetch of another site is refused by its head."""
    with contextlib.closing(web.connect()) as client:
        head = {"Origin": "https://evil.example", "Content-Type": "text/plain", "Content-Length": "20"}
        client.send_head("POST", "/v1/jobs", head)
        assert_problem(client.reply(), 403)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /v1/jobs?older_than=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /v1//jobs HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /v1/jobs/%ff%0a HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"BREW /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"TRACE /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /v1/jobs HTTP/1.0\r\n\r\n", 403),
    ],
)
def test_nonsense_is_answered_by_a_problem(web: WebProcess, request_bytes: bytes, status: int) -> None:
    """Whatever arrives, the answer is a problem document."""
    with contextlib.closing(web.connect()) as client:
        client.send(request_bytes)
        reply = client.reply()
        assert_problem(reply, status)
        assert reply.headers["tokentail"] == "1"  # else clients take it for a proxy's, and ask again


def test_an_endless_head_is_cut_off(web: WebProcess) -> None:
    """Heads have a limit; without one a client could fill the memory before anybody looks."""
    with contextlib.closing(web.connect()) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        reply = None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for n in range(10_000):
                client.send(b"X-Padding-%d: " % n + b"x" * 1000 + b"\r\n")
        with contextlib.suppress(ConnectionResetError):  # the answer may be lost behind what was still being sent
            reply = client.reply()
        assert reply is None or reply.status == 431
    assert web.ask("GET", "/healthz").status == 200


def chunked(web: WebProcess, path: str, trailers: bytes) -> Reply:
    with contextlib.closing(web.connect()) as client:
        client.send_head("POST", path, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        body = b'{"prompt": "why"}'
        client.send(b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers))
        return client.reply()


def test_a_trailer_is_no_header(web: WebProcess) -> None:
    """What decides about a request stands in its head, where proxies see it."""
    for name in (b"Idempotency-Key: once\r\n", b"Authorization: Bearer once\r\nX-Any: thing\r\n"):
        first, second = chunked(web, "/v1/jobs", name), chunked(web, "/v1/jobs", name)
        assert (first.status, second.status) == (202, 202)
        assert first.json["id"] != second.json["id"]


def send_all(client: RawClient, part: bytes, times: int) -> None:
    for _ in range(times):
        client.send(part)


@pytest.mark.parametrize("trailer", [b"a: %s\r\n" % (b"b" * 1000), b"b" * 1000], ids=["many", "one without an end"])
@pytest.mark.parametrize("body", [b"", b"1000\r\n" + b"x" * 0x1000 + b"\r\n"], ids=["waiting", "answered"])
def test_endless_trailers_are_cut_off(web: WebProcess, trailer: bytes, body: bytes) -> None:
    """Before the answer and after it: nobody asked for them, and they would fill the memory."""
    with contextlib.closing(web.connect()) as client:
        client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        client.send(body)
        if body:
            assert_problem(client.reply(), 413)
        client.send(b"0\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_all(client, trailer, 20_000)
    assert web.ask("GET", "/healthz").status == 200


def test_what_follows_an_answer_is_not_read_for_ever(web: WebProcess) -> None:
    """The server reads enough of a refused body for the client to see the refusal, and then no more."""
    with contextlib.closing(web.connect()) as client:
        client.send_head("POST", "/v1/jobs", {"Content-Length": str(64 << 20)})
        assert client.reply().status == 413
        client.send(bytes(8 << 20))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_all(client, bytes(1 << 20), 55)


@pytest.mark.parametrize("is_said", [True, False], ids=["length", "chunked"])
def test_a_client_that_sends_its_whole_body_first_sees_the_refusal(web: WebProcess, is_said: bool) -> None:
    """With `Connection: close`, as urllib sends it, the body is read first: a reset would lose the response."""
    body = bytes(3 << 20)
    framing = {"Content-Length": str(len(body))} if is_said else {"Transfer-Encoding": "chunked"}
    for _ in range(3):
        with contextlib.closing(web.connect()) as client:
            client.send_head("POST", "/v1/jobs", {"Content-Type": "application/json", "Connection": "close", **framing})
            client.send(body if is_said else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            assert_problem(client.reply(), 413)


def test_one_connection_serves_many_requests(web: WebProcess) -> None:
    """Refusals and answers alternate on one kept connection, bodies refused included."""
    with contextlib.closing(web.connect()) as client:
        for _ in range(3):
            client.send_head("POST", "/v1/jobs", {"Content-Length": str(LIMIT + 1)})
            assert client.reply().status == 413
            client.send(b"x" * (LIMIT + 1))
            client.send_head("GET", "/healthz", {})
            assert client.reply().status == 200
            client.send_head("HEAD", "/healthz", {})
            assert client.reply("HEAD").body == b""


def test_the_log_names_paths_without_query_strings(web: WebProcess) -> None:
    """Access lines have method, path, status and time; no query, key, prompt or line break of a client's."""
    web.ask("GET", "/v1/jobs?older_than=secret-query", Authorization="Bearer secret-key")
    web.ask("POST", "/v1/jobs", b'{"prompt": "secret-prompt"}', Content_Type="application/json")
    web.ask("GET", "/broken%0aline")
    assert "info request method=POST path=/v1/jobs status=202 ms=" in web.log
    for method, path in (
        ("DELETE", "/v1/users/secret-user"),
        ("GET", "/v1/users/secret-user"),
        ("DELETE", "/v1/user/secret-user"),
        ("GET", "/v1/jobs/secret-job/ws"),
        ("GET", "/openai/v1/models/secret-model"),
    ):
        web.ask(method, path)
    assert "info request method=DELETE path=/v1/users/{user} status=200 ms=" in web.log
    eventually(lambda: web.log.count("path=/openai/v1/models/{model} ") == 1, what="the last request has its line")
    assert "secret" not in web.log
    assert "\nline" not in web.log


def test_a_client_that_says_no_more_is_answered(web: WebProcess) -> None:
    """A whole request, and then a half-closed connection: what was done of it must not go untold."""
    with contextlib.closing(web.connect()) as client:
        body = b'{"prompt": "why"}'
        head = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        client.send_head("POST", "/v1/jobs", head)
        client.send(body)
        client.say_no_more()
        assert client.reply("POST").status == 202
