"""Clients that send a byte now and then, or none: they receive an error, and lose their connection, in bounded time."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from app.wiring import wire_calls
from tests.integration.web_process import RawClient, Site
from tests.loopback import LoopbackPlane, LoopThread
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient

WITHIN_S = 0.3
DRIP_S = 0.05  # far below that: what counts is the whole, not the last byte


class Plane(Site):
    """A read plane that has little patience."""

    def __init__(self, port: int) -> None:
        self.port = port


@pytest.fixture
def site(real_client: RedisClient, valkey_url: str) -> Iterator[Plane]:
    backend = wire(real_client, real_client, load_settings({}))
    ScriptedWorker(backend).beat()
    calls = wire_calls(load_settings({}), backend)
    with LoopThread() as loop_thread:
        plane = LoopbackPlane(loop_thread, calls, valkey_url, slowest_s=WITHIN_S)
        yield Plane(plane.port)
        plane.close()


def drip(client: RawClient, content: bytes) -> None:
    """Send it over and over, a byte at a time, until there is an answer."""
    pause, until = threading.Event(), time.monotonic() + 5
    for byte in itertools.cycle(content):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(bytes([byte]))
        pause.wait(DRIP_S)
        if client.has_answer():
            return
        assert time.monotonic() < until, "there is no end to it"


def assert_timed_out(client: RawClient) -> None:
    """The client receives 408, and the connection is closed."""
    reply = client.reply()
    assert (reply.status, reply.headers["content-type"]) == (408, "application/problem+json")
    assert reply.headers["connection"] == "close"
    assert client.is_closed()


def test_a_dripped_head_is_timed_out(site: Plane) -> None:
    """Each byte comes in time, and the head does not."""
    with contextlib.closing(site.connect()) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        drip(client, b"X-More: and more\r\n")
        assert_timed_out(client)


def test_a_dripped_second_head_is_timed_out(site: Plane) -> None:
    """A kept connection gives no more patience than a new one."""
    with contextlib.closing(site.connect()) as client:
        client.send_head("GET", "/healthz", {})
        assert client.reply().status == 200
        client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        drip(client, b"X-More: and more\r\n")
        assert_timed_out(client)


@pytest.mark.parametrize("prefer", ["", "wait=5"], ids=["Flask", "coroutine"])
def test_a_dripped_body_is_timed_out(site: Plane, prefer: str) -> None:
    """A slow body is answered by 408, both where Flask and where a coroutine would handle it."""
    with contextlib.closing(site.connect()) as client:
        head = {"Content-Type": "application/json", "Content-Length": "100000", "Prefer": prefer}
        client.send_head("POST", "/v1/jobs", head)
        drip(client, b" ")
        assert_timed_out(client)


def test_a_connection_that_says_nothing_is_closed(site: Plane) -> None:
    """Without a word."""
    with contextlib.closing(site.connect()) as client:
        eventually(client.has_answer, what="it is closed")
        assert client.is_closed()


def test_who_is_quick_may_take_long_between_requests(site: Plane) -> None:
    """The time runs while a head is sent, and not before its first byte on a kept connection."""
    with contextlib.closing(site.connect()) as client:
        for _ in range(2):
            client.send_head("GET", "/healthz", {})
            assert client.reply().status == 200
            threading.Event().wait(WITHIN_S * 2)
            assert not client.has_answer()
