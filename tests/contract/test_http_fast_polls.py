"""The fast path of polls: browsers' requests take it, and its responses are those of the long way, byte for byte.

Requests that go the long way leave a line of the access log; that is how these tests tell one way from the other. A
parameter that no call knows sends a poll the long way and changes nothing of its response.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.http_harness import HttpHarness, open_harness
from tests.loopback import LoopThread
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.config.key_ring import owner_name
from tokentail.config.settings import load_settings
from tokentail.log.element import Reasoning
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient

KEY = "key-one"
OWNER = owner_name(KEY)
LONG_WAY = "utm_source=green"
Headers = dict[str, str]
Response = tuple[int, list[tuple[str, str]], bytes]

CHROMIUM = {
    "Connection": "keep-alive",
    "sec-ch-ua": '"Chromium";v="140", "Not=A?Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}
SAME_ORIGIN = {**CHROMIUM, "Sec-Fetch-Site": "same-origin"}
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass
class Plane:
    """The read plane, and which requests went the long way."""

    harness: HttpHarness
    log: pytest.LogCaptureFixture
    jobs: dict[str, str] = field(default_factory=dict)  # name → id

    def connect(self) -> HTTPConnection:
        assert self.harness.plane is not None
        return HTTPConnection("127.0.0.1", self.harness.plane.port, timeout=20)

    def ask(self, target: str, headers: Headers, connection: HTTPConnection | None = None) -> tuple[bool, Response]:
        """Whether the request took the fast path, and the response."""
        if connection is None:
            with closing(self.connect()) as connection:
                return self.ask(target, headers, connection)
        self.log.clear()
        connection.request("GET", target, headers=headers)
        with connection.getresponse() as answer:
            response = answer.status, answer.getheaders(), answer.read()
        # The access log has a request's line by the time of the next response on its connection.
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        lines = [record for record in self.log.records if record.name == "app.http.access"]
        return all(line.__dict__["path"] == "/healthz" for line in lines), response

    def assert_fast_is_slow(self, target: str, headers: Headers) -> Response:
        """The response, which both ways give to this request."""
        tries: list[tuple[bool, Response]] = []
        with closing(self.connect()) as connection:

            def is_fast_now() -> bool:
                tries.append(self.ask(target, headers, connection))
                return tries[-1][0]

            # A tail that nobody has read for long was dropped, and needs a moment to live again.
            eventually(is_fast_now, what=f"{target} {headers} is answered the fast way")
            response = tries[-1][1]
            is_fast, slow = self.ask(f"{target}{'&' if '?' in target else '?'}{LONG_WAY}", headers, connection)
            assert not is_fast
        assert response == slow, f"{target} {headers}"
        return response

    def session(self, ttl_s: float = 60) -> str:
        """The Cookie header of a session of the key."""
        return f"a=b; tokentail_session={self.harness.calls.access.signer.session(OWNER, ttl_s)}"

    def token(self, name: str, ttl_s: float = 60) -> str:
        """A read token of the job."""
        return self.harness.calls.access.signer.read_token(OWNER, self.jobs[name], ttl_s)


def open_plane(
    client: RedisClient, valkey_url: str, loop_thread: LoopThread, log: pytest.LogCaptureFixture, origins: str
) -> Plane:
    """With a running job that has three tokens, a job that thinks, and one that has ended; their tails are live."""
    settings: dict[str, Any] = {"TOKENTAIL_API_KEYS": f"{KEY},key-two", "TOKENTAIL_CORS_ORIGINS": origins}
    backend = wire(client, client, load_settings(settings))
    plane = Plane(open_harness(backend, loop_thread, valkey_url, has_worker=True, is_timeless=True, **settings), log)
    log.set_level(logging.DEBUG, "app.http.access")
    worker = plane.harness.worker
    plane.jobs = {name: worker.submit(OWNER) for name in ("running", "thinking", "ended")}
    worker.say(worker.take(plane.jobs["running"]), "a", "b", "c")
    worker.say(worker.take(plane.jobs["thinking"]), Reasoning("hm"), Reasoning("well"))
    worker.say(worker.take(plane.jobs["ended"]), "a", Reasoning("hm"), "b", COMPLETED)
    for job_id in plane.jobs.values():
        eventually(lambda at=job_id: plane.ask(f"/v1/jobs/{at}/tokens", BEARER)[0], what="the tail is live")  # type: ignore[misc]
    for name, job_id in plane.jobs.items():
        plane.ask(f"/v1/jobs/{job_id}/text?token={plane.token(name)}", {})  # which finds out that the token holds
    return plane


@pytest.fixture
def plane(
    real_client: RedisClient, valkey_url: str, loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> Iterator[Plane]:
    plane = open_plane(real_client, valkey_url, loop_thread, caplog, "https://app.example,https://two.example")
    yield plane
    plane.harness.close()


@pytest.mark.parametrize("kind", ["tokens", "events"])
def test_every_plain_query_is_fast(plane: Plane, kind: str) -> None:
    """Parameters in any order, any number of them; waits and lingering are over at once or soon."""
    for name, job_id in plane.jobs.items():
        path = f"/v1/jobs/{job_id}/{kind}"
        cursors = [
            "0",
            *(plane.harness.get(f"{path}?limit={n}", headers=BEARER).get_json()["cursor"] for n in (2, 3, 9)),
        ]
        for cursor in cursors:
            for query in (
                f"cursor={cursor}",
                f"cursor={cursor}&cursor=x&limit=2&limit=x",
                f"limit=1&cursor={cursor}",
                f"cursor={cursor}&limit=3&linger_ms=100",
                f"linger_ms=20&cursor={cursor}&wait=0",
                f"cursor={cursor}&wait=0.12",
                f"wait=0.12&cursor={cursor}&linger_ms=40",
                f"rnd=4k1x&cursor={cursor}&wait=0.12",
                f"cursor={cursor}&rnd=&wait=0.12&rnd=0.25",
                f"wait=00.12&limit=9999999999999999999&linger_ms=0&cursor={cursor}",
                *(f"cursor={cursor}&wait=0.12&limit={limit}&linger_ms=40" for limit in (1, 2, 50) if cursor != "0"),
            ):
                assert plane.assert_fast_is_slow(f"{path}?{query}", BEARER)[0] == 200, name
        plane.assert_fast_is_slow(path, BEARER)
        plane.assert_fast_is_slow(f"{path}?rnd=1", BEARER)


def test_queries_with_errors_are_the_long_ways(plane: Plane) -> None:
    """Queries with errors, percent-encoded or empty ones, and a page's poll from a moving beginning go the long way."""
    path = f"/v1/jobs/{plane.jobs['running']}/tokens"
    for query in (
        "?",
        "?cursor=x",
        "?limit=0",
        "?linger_ms=-1",
        "?wait=x",
        "?%63ursor=0",
        "?cursor=0&",
        "?cursor=0&rnd=%61",
        "?cursor=0&wait=0.1&limit=2",
    ):
        assert not plane.ask(f"{path}{query}", BEARER)[0], query


@pytest.mark.parametrize("kind", ["tokens", "events"])
def test_requests_of_browsers_are_fast(plane: Plane, kind: str) -> None:
    """The page's own with its cookie, another allowed origin's with a key, a share link's reader with its token."""
    requests: tuple[tuple[Headers, str], ...] = (
        (BEARER, ""),
        ({**SAME_ORIGIN, **BEARER}, ""),
        ({**SAME_ORIGIN, "Cookie": plane.session()}, ""),
        ({**SAME_ORIGIN, "Cookie": plane.session(), "Origin": "http://localhost", "Host": "localhost"}, ""),
        ({**CHROMIUM, **BEARER, "Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}, ""),
        ({**CHROMIUM, **BEARER, "Origin": "https://TWO.example", "Sec-Fetch-Site": "same-site"}, ""),
        ({**SAME_ORIGIN}, "token"),
        ({**SAME_ORIGIN, "Cookie": plane.session()}, "token"),
        ({**CHROMIUM, "Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}, "token"),
    )
    for headers, by in requests:
        for name, job_id in plane.jobs.items():
            for query in ("?cursor=0", "?cursor=0&wait=0.12&linger_ms=20", "?limit=2&cursor=0"):
                token = f"&token={plane.token(name)}" if by else ""
                assert plane.assert_fast_is_slow(f"/v1/jobs/{job_id}/{kind}{query}{token}", headers)[0] == 200


def test_what_is_refused_and_what_is_unusual_goes_the_long_way(plane: Plane) -> None:
    """The long way judges it and answers."""
    path = f"/v1/jobs/{plane.jobs['running']}/tokens"
    of_page = {**SAME_ORIGIN, "Cookie": plane.session()}
    for headers, query, status in (
        ({}, "", 401),
        ({"Authorization": "Bearer key-two"}, "", 404),
        ({**BEARER, "Host": "evil.example"}, "", 403),
        ({**BEARER, "Origin": "https://evil.example"}, "", 200),
        ({**BEARER, "Origin": "null"}, "", 200),
        ({**of_page, "Origin": "https://app.example"}, "", 401),  # a cookie speaks for our own pages alone
        ({**of_page, "Sec-Fetch-Site": "cross-site"}, "", 401),
        ({**of_page, "Cookie": plane.session(-1)}, "", 401),
        ({"Cookie": "tokentail_session=x"}, "", 401),
        ({}, f"?token={plane.token('ended')}", 403),
        ({}, f"?token={plane.token('running', -1)}", 401),
        ({}, f"?token=x&token={plane.token('running')}", 401),
        ({**BEARER, "Connection": "close"}, "", 200),
        ({**BEARER, "If-None-Match": "*"}, "", 200),
    ):
        with closing(plane.connect()) as connection:
            is_fast, response = plane.ask(f"{path}{query}", headers, connection)
            assert (is_fast, response[0]) == (False, status), (headers, query)


def test_each_request_on_a_connection_is_judged(plane: Plane) -> None:
    """What the last one was allowed is not passed on: neither its token, nor its cookie, nor its origin's headers."""
    path = f"/v1/jobs/{plane.jobs['running']}/tokens"
    token = f"token={plane.token('running')}"
    origin = {**BEARER, "Origin": "https://app.example"}
    with closing(plane.connect()) as connection:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        for headers, target, is_fast, status in (
            ({}, path, False, 401),
            ({}, f"{path}?{token}", True, 200),
            ({}, f"/v1/jobs/{plane.jobs['ended']}/tokens?{token}", False, 403),
            ({}, path, False, 401),
            ({}, f"{path}?%74oken={plane.token('running')}", False, 401),
            ({}, path, False, 401),
            ({"Cookie": plane.session()}, path, True, 200),
            ({}, path, False, 401),
        ):
            found, response = plane.ask(target, headers, connection)
            assert (found, response[0]) == (is_fast, status), target
        for headers, allowed in ((origin, "https://app.example"), (BEARER, None), (origin, "https://app.example")):
            _, (_, sent, _) = plane.ask(path, headers, connection)
            named = {name.lower(): value for name, value in sent}
            assert named.get("access-control-allow-origin") == allowed


def test_http_1_0_goes_the_long_way(plane: Plane) -> None:
    """A poll by HTTP/1.0 is answered the long way, and its connection is closed behind the response."""
    with closing(plane.connect()) as connection:
        connection.connect()
        head = f"GET /v1/jobs/{plane.jobs['running']}/tokens HTTP/1.0\r\nHost: localhost\r\n"
        head += f"Connection: keep-alive\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        connection.sock.sendall(head.encode())
        received = b""
        while part := connection.sock.recv(65536):
            received += part
    assert b'"tokens":["a","b","c"]' in received


def test_any_origin_is_fast_where_all_are_allowed(
    real_client: RedisClient, valkey_url: str, loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    """With the headers that the long way gives."""
    plane = open_plane(real_client, valkey_url, loop_thread, caplog, "*")
    path = f"/v1/jobs/{plane.jobs['running']}/tokens"
    for headers in (BEARER, {**BEARER, "Origin": "https://any.example"}, {**BEARER, "Origin": "null"}):
        _, sent, _ = plane.assert_fast_is_slow(path, headers)
        assert ("access-control-allow-origin", "*") in sent
    plane.harness.close()
