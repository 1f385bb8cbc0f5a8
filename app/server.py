"""The server: uvicorn around the gate, listening and stopping as this product promises.

On SIGTERM and SIGINT every waiting poll is answered at once, so that the process is gone in a second or two.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from a2wsgi import WSGIMiddleware
from redis.asyncio import Redis

from app.calls import Calls
from app.flask_app import create_app
from app.gate import Gate
from app.http_protocol import HttpProtocol
from app.metrics import WebMetrics
from app.open_files import connections_within_limit
from app.read_plane.exchange import OnAnswer
from app.read_plane.parked_polls import ParkedPolls
from app.read_plane.plane import Plane
from app.read_plane.quick_polls import QuickPolls
from app.read_plane.socket_protocol import PING_EVERY_S, PONG_WITHIN_S, SocketProtocol
from app.read_plane.tails import Tails
from tokentail.address import Address, address_of
from tokentail.backend import now_ms
from tokentail.log_lines import facts_of
from tokentail.settings import Settings

log = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75  # above the idle time of the usual balancers, so that they hang up first
_GRACE_S = 2
_HEAD_WITHIN_S = 15.0  # a client that sends slower than this, or its body, is not worth a socket
_BODY_WITHIN_S = 60.0
_TAIL_BYTES = 64 << 20  # of elements in memory, in all


class Server(uvicorn.Server):
    """uvicorn, which says where it listens, and at a signal first wakes those who wait."""

    def __init__(self, config: uvicorn.Config, tails: Tails, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._tails = tails
        self._on_exit = on_exit
        self.has_failed = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        following = asyncio.create_task(self._tails.run())
        following.add_done_callback(self._end_of_following)
        try:
            await super().serve(sockets)
        finally:
            following.cancel()

    def _end_of_following(self, following: asyncio.Task[None]) -> None:
        if not following.cancelled() and (error := following.exception()):
            # Without tails nobody is woken: worse than a process that is started again.
            log.critical("web.failed", extra=facts_of(error))
            self.should_exit = self.has_failed = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            log.info("web.listening", extra={"address": f"http://{address_of(listener)}"})

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own: it raises the signal again at the end, and a clean stop would look like a death.
        self.force_exit = self.should_exit
        self.should_exit = True
        asyncio.get_running_loop().call_soon_threadsafe(self._tails.close)
        self._on_exit()


def listen(settings: Settings, inherited_fd: int | None = None) -> socket.socket:
    """The listening socket: the one that was inherited, or our own. Raises OSError when it is not to be had."""
    inherited = None if inherited_fd is None else socket.socket(fileno=inherited_fd)
    listener = inherited or Address(settings.host, settings.port).listen()
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it. It is the system's own word for a stall, for what is in its buffers already.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.stall_s * 1000))
    return listener


@dataclass(frozen=True)
class ReadPlane:
    """What serves, wired: uvicorn's configuration with the gate and the protocol, and what is behind them."""

    config: uvicorn.Config
    tails: Tails
    plane: Plane


def serve(calls: Calls, redis: Redis, listener: socket.socket, metrics: WebMetrics | None = None) -> bool:
    """Serve until a signal, then answer who waits; False when it ended by a fault instead."""
    wired = wire_read_plane(calls, redis, metrics.answered if metrics else None)
    if metrics:
        metrics.watch(lambda: wired.plane.driver.waits)
    server = Server(wired.config, wired.tails, calls.wakeups.close)
    try:
        server.run([listener])
    finally:
        wired.plane.close()
    return not server.has_failed


def wire_read_plane(
    calls: Calls,
    redis: Redis,
    on_answer: OnAnswer | None = None,
    *,
    head_within_s: float = _HEAD_WITHIN_S,
    body_within_s: float = _BODY_WITHIN_S,
) -> ReadPlane:
    """The gate in front of coroutines and of Flask's threads."""
    flask_app: Any = create_app(calls)  # three libraries, three spellings of the same types
    threads: Any = WSGIMiddleware(flask_app, workers=calls.settings.web_threads)
    tails = Tails(redis, most_bytes=_TAIL_BYTES, now_ms=now_ms, clock=time.monotonic)
    most_connections = connections_within_limit(calls.settings.max_connections)
    plane = Plane(calls, tails, calls.settings.waits_of_key(most_connections), on_answer)
    quick_polls = QuickPolls(calls.access, calls.polls, tails, time.monotonic)
    parked_polls = ParkedPolls(quick_polls, tails, plane.driver, time.monotonic)
    stall_s = calls.settings.stall_s
    config = uvicorn.Config(
        Gate(plane, threads, calls.access, calls.settings.max_body_bytes, body_within_s, on_answer),
        http=partial(HttpProtocol, quick_polls, parked_polls, on_answer, most_connections, stall_s, head_within_s),  # type: ignore[arg-type]
        loop="uvloop",
        ws=partial(SocketProtocol, stall_s),  # type: ignore[arg-type]
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return ReadPlane(config, tails, plane)
