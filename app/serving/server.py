"""The server: uvicorn around the gate, listening and stopping as this product promises.

At SIGTERM the process drains for TOKENTAIL_DRAIN_S: `/readyz` is 503, all else is served, and each answer is the last
one on its connection. Then, and on SIGINT at once, every waiting poll is answered, and the process is gone in a second
or two; streams of OpenAI's interfaces, whose clients cannot resume, go on for TOKENTAIL_GRACE_S. A second signal ends
both.
"""

import asyncio
import logging
import math
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from a2wsgi import WSGIMiddleware

from app.calls.health import Health
from app.reading.hub import Hub
from app.serving.flask_app import create_app
from app.serving.gate import AsgiApplication
from app.serving.http_protocol import HttpProtocol
from app.serving.last_answers import GivesLastAnswers
from app.serving.metrics import WebMetrics
from app.serving.open_files import connections_within_limit
from app.serving.parked_polls import ParkedPolls
from app.serving.plane import Plane
from app.serving.quick_polls import QuickPolls
from app.serving.request_context import OnAnswer
from app.serving.socket_protocol import PING_EVERY_S, PONG_WITHIN_S, SocketProtocol
from app.wiring import Calls
from tokentail.config.address import Address, address_of
from tokentail.config.settings import Settings
from tokentail.redis.client import AsyncRedisClient
from tokentail.telemetry.log_lines import facts_of

log = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75  # above the idle time of the usual balancers, so that they hang up first
_GRACE_S = 3  # connections end by themselves within 1.8 s (`last_answers.py`); this is for a machine that is busy
_MOST_SIGNALS = 2  # one more ends the process without a word to its clients
_HEAD_WITHIN_S = 15.0  # a client that sends slower than this, or its body, is not worth a socket
_BODY_WITHIN_S = 60.0


class Server(uvicorn.Server):
    """uvicorn, which logs where it listens, and at a signal first drains and ends all waits."""

    def __init__(self, config: uvicorn.Config, hub: Hub, health: Health, drain_s: float, grace_s: float) -> None:
        super().__init__(config)
        self._hub = hub
        self._health = health
        self._drain_s = drain_s
        self._grace_s = grace_s
        self._signals = 0
        self.has_failed = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        waiting = asyncio.create_task(self._hub.run())
        waiting.add_done_callback(self._end_of_waiting)
        try:
            await super().serve(sockets)
        finally:
            waiting.cancel()

    def _end_of_waiting(self, waiting: asyncio.Task[None]) -> None:
        if not waiting.cancelled() and (error := waiting.exception()):
            # Without tails nobody is woken: worse than a process that is started again.
            log.critical("web.failed", extra=facts_of(error))
            self.should_exit = self.has_failed = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            log.info("web.listening", extra={"address": f"http://{address_of(listener)}"})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and end all connections behind their answers."""
        # The system resets what it has accepted for a socket that is closed. So nothing may come between these two.
        accepted = [connection for listener in sockets or () for connection in _accept_all(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            await loop.connect_accepted_socket(self._new_protocol, connection)
        await super().shutdown(sockets)

    def _new_protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own: it raises the signal again at the end, and a clean stop would look like a death.
        self._signals += 1
        self.force_exit = self._signals > _MOST_SIGNALS
        first = self._drain if sig == signal.SIGTERM else self._close
        asyncio.get_running_loop().call_soon_threadsafe(self._hurry if self._signals > 1 else first)

    def _drain(self) -> None:
        log.info("web.stopping", extra={"drain_s": self._drain_s})
        self._keep_no_connections()
        asyncio.get_running_loop().call_later(self._drain_s, self._close)

    def _close(self) -> None:
        if self.should_exit:
            return
        self._keep_no_connections()
        self.should_exit = True
        self._hub.close()
        asyncio.get_running_loop().call_later(self._grace_s, self._hub.end)

    def _hurry(self) -> None:
        self._close()
        self._hub.end()

    def _keep_no_connections(self) -> None:
        self._health.is_stopping = self._hub.is_draining = True
        for connection in self.server_state.connections:
            if isinstance(connection, GivesLastAnswers):
                connection.drain()


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the system has made and nobody has accepted."""
    with suppress(OSError):  # there is none, or another process of the same socket was quicker
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


def listen(settings: Settings, inherited_fd: int | None = None) -> socket.socket:
    """The listening socket: the one that was inherited, or our own. Raises OSError when it is not to be had."""
    inherited = None if inherited_fd is None else socket.socket(fileno=inherited_fd)
    listener = inherited or Address(settings.host, settings.port).listen()
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it: the system drops one whose client does not take what is in the system's buffers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.stall_s * 1000))
    return listener


@dataclass(frozen=True)
class ReadPlane:
    """What serves, wired: uvicorn's configuration with the gate and the protocol, and what is behind them."""

    config: uvicorn.Config
    hub: Hub
    threads: ThreadPoolExecutor  # of steps that block; none of them waits for news

    def close(self) -> None:
        """Drop blocking steps that wait for a thread; those that run end by themselves."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def serve(calls: Calls, redis: AsyncRedisClient, listener: socket.socket, metrics: WebMetrics | None = None) -> bool:
    """Serve until a signal, then answer all waiting polls; False when serving ended by a fault instead."""
    wired = wire_read_plane(calls, redis, metrics.answered if metrics else None)
    if metrics:
        metrics.watch(lambda: wired.hub.waits)
    server = Server(wired.config, wired.hub, calls.health, calls.settings.drain_s, calls.settings.grace_s)
    try:
        server.run([listener])
    finally:
        wired.close()
    return not server.has_failed


def wire_read_plane(
    calls: Calls,
    redis: AsyncRedisClient,
    on_answer: OnAnswer | None = None,
    *,
    head_within_s: float = _HEAD_WITHIN_S,
    body_within_s: float = _BODY_WITHIN_S,
) -> ReadPlane:
    """The gate in front of coroutines and of Flask's threads."""
    settings = calls.settings
    flask_app: Any = create_app(calls)  # three libraries, three spellings of the same types
    flask: Any = WSGIMiddleware(flask_app, workers=settings.web_threads)
    most_connections = connections_within_limit(settings.max_connections)
    most_of_key = settings.waits_of_key(most_connections)
    threads = ThreadPoolExecutor(settings.web_threads, thread_name_prefix="write")
    tails = calls.open_tails(redis)
    hub = Hub(tails, most_connections, most_of_key, threads)
    plane = Plane(calls, hub, on_answer)
    quick_polls = QuickPolls(calls.access, calls.polls, tails, time.monotonic, calls.shares.is_fresh)
    parked_polls = ParkedPolls(quick_polls, hub, time.monotonic)
    stall_s = settings.stall_s
    config = uvicorn.Config(
        AsgiApplication(plane, flask, calls.access, settings.max_body_bytes, body_within_s, on_answer),
        http=partial(HttpProtocol, hub, quick_polls, parked_polls, on_answer, most_connections, stall_s, head_within_s),  # type: ignore[arg-type]
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
        timeout_graceful_shutdown=math.ceil(settings.grace_s) + _GRACE_S,
    )
    return ReadPlane(config, hub, threads)
