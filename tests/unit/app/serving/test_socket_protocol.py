"""The socket protocol by itself: what it leaves to its caller, and what it keeps from growing."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from app.serving.socket_protocol import PING_EVERY_S, PONG_WITHIN_S, SocketProtocol

_HANDSHAKE = (
    b"GET /v1/jobs/a/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
_STALL_S = 0.05
_PING = b"\x89\x80" + bytes(4)


class Transport(asyncio.Transport):
    """Takes everything; remembers what, and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""

    def write(self, content: bytes | bytearray | memoryview) -> None:
        self.written += content

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Speaker:
    """An application that accepts, and closes when the test wants it."""

    def __init__(self) -> None:
        self.may_close = asyncio.Event()
        self.has_accepted = asyncio.Event()
        self.scope: Any = None

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.scope = scope
        await send({"type": "websocket.accept"})
        self.has_accepted.set()
        await self.may_close.wait()
        await send({"type": "websocket.send", "text": "the last"})
        await send({"type": "websocket.close", "code": 1001, "reason": "going"})


def with_socket(check: Callable[[SocketProtocol, Transport, Speaker], Awaitable[None]], **config: Any) -> None:
    """Run the check on a socket that is open."""

    async def run() -> None:
        speaker, transport = Speaker(), Transport()
        configured = uvicorn.Config(speaker, ws=SocketProtocol, log_config=None, lifespan="off", **config)
        protocol = SocketProtocol(_STALL_S, config=configured, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)
        protocol.data_received(_HANDSHAKE)
        async with asyncio.timeout(10):
            await speaker.has_accepted.wait()
            assert transport.written.startswith(b"HTTP/1.1 101 ")
            transport.written = b""
            await check(protocol, transport, speaker)
            speaker.may_close.set()
            await asyncio.gather(*protocol.tasks)
            protocol.connection_lost(None)

    asyncio.run(run())


def test_a_stop_leaves_the_last_word_to_the_speaker() -> None:
    """A server that goes says nothing over a socket by itself: what was said so far comes before the 1001."""

    async def check(protocol: SocketProtocol, transport: Transport, speaker: Speaker) -> None:
        protocol.shutdown()
        assert (transport.written, transport.ended) == (b"", "")
        speaker.may_close.set()
        await asyncio.gather(*protocol.tasks)
        assert transport.written == b"\x81\x08the last" + b"\x88\x07\x03\xe9going"
        assert transport.ended == "", "the client has a moment to confirm"
        while not transport.ended:
            await asyncio.sleep(0)
        assert transport.ended == "closed"

    with_socket(check)


def test_pings_of_a_client_that_reads_nothing_are_not_answered() -> None:
    """Answers would fill the memory; as soon as it reads again, they come."""

    async def check(protocol: SocketProtocol, transport: Transport, _: Speaker) -> None:
        protocol.pause_writing()
        protocol.data_received(_PING * 1000)
        assert transport.written == b""
        protocol.resume_writing()
        protocol.data_received(_PING)
        assert transport.written == b"\x8a\x00"

    with_socket(check)


def test_a_peer_that_answers_no_ping_is_dropped() -> None:
    """With all that waits to be sent to it, for closing would wait for that."""

    async def check(_: SocketProtocol, transport: Transport, __: Speaker) -> None:
        while not transport.ended:
            await asyncio.sleep(0.01)
        assert transport.ended == "aborted"
        assert b"keepalive ping timeout" in transport.written

    with_socket(check, ws_ping_interval=0.05, ws_ping_timeout=0.05)


def test_a_dead_peer_is_found_within_forty_seconds() -> None:
    """A dead peer is found within 40 s; pings come more often than the shortest idle timeout of usual proxies, 60 s."""
    assert PING_EVERY_S + PONG_WITHIN_S <= 40
    assert PING_EVERY_S <= 30


def test_a_client_that_takes_nothing_is_dropped() -> None:
    """The connection is not closed, which would wait for it."""

    async def check(protocol: SocketProtocol, transport: Transport, _: Speaker) -> None:
        protocol.pause_writing()
        while not transport.ended:
            await asyncio.sleep(_STALL_S / 10)
        assert transport.ended == "aborted"
        protocol.resume_writing()

    with_socket(check)


def test_a_client_that_takes_something_again_in_time_is_kept() -> None:
    """A client that reads again in time is kept, and receives what was sent meanwhile."""

    async def check(protocol: SocketProtocol, transport: Transport, _: Speaker) -> None:
        protocol.pause_writing()
        protocol.resume_writing()
        await asyncio.sleep(2 * _STALL_S)
        assert not transport.ended

    with_socket(check)
