"""Connections to Redis: they go to the primary that Sentinels name, and report a loss by redis-py's own error.

This file and `quick_client.py` alone use the inside of redis-py; tokentail/config/library_parts.py lists it.
"""

import _socket
import asyncio
import time
from contextlib import suppress
from typing import Any, Protocol

import redis
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio import Redis
from redis.connection import ConnectionPool

from tokentail.redis.errors import NoPrimary

_SETTLES_WITHIN_S = 0.6  # the first answers of Sentinels
_LOOK_AGAIN_S = 0.01
_AWAY = "the primary that the Sentinels name does not answer"


def translate_uvloop(pool: AsyncConnectionPool) -> None:
    """Have the pool's future connections report a loss by redis-py's own error, whatever class its URL asked for."""
    pool.connection_class = type("Connection", (_UvloopConnection, pool.connection_class), {})


class Primary(Protocol):
    """Where the server is that takes writes."""

    @property
    def is_settled(self) -> bool:
        """Whether enough is known for an answer."""

    def where(self) -> tuple[str, int]:
        """Host and port now. Raises NoPrimary."""

    def watch(self, connection: Any, /) -> None:
        """Have the connection leave when the primary is elsewhere."""


def go_to_primary(pool: ConnectionPool | AsyncConnectionPool, primary: Primary) -> None:
    """Have the pool's future connections go to the primary, whatever host their URL has, and end when it moves."""
    kind: Any = pool.connection_class
    to_primary = _AsyncToPrimary if isinstance(pool, AsyncConnectionPool) else _ToPrimary
    pool.connection_class = type(f"Primary{kind.__name__}", (to_primary, kind), {})
    pool.connection_kwargs["primary"] = primary


def unconnected(pool: ConnectionPool) -> Any:
    """A connection as the pool makes them. Raises TypeError for an option that there is not."""
    return pool.connection_class(**pool.connection_kwargs)


def unpooled(client: Redis) -> Any:
    """A connection like those of the client's pool that belongs to the caller, and is not connected yet."""
    return client.connection_pool.make_connection()  # type: ignore[no-untyped-call]


def discard(pubsub: Any) -> None:
    """Close a subscription's connection that is not trusted any more, and its pool's idle connections with it.

    What broke the one has probably broken them; each would have to be found dead by a time-out of its own.
    """
    pubsub.close()
    pubsub.connection_pool.disconnect(inuse_connections=False)


class _UvloopConnection:
    """Beside a class of redis-py's: a connection that is lost raises ConnectionError.

    uvloop raises RuntimeError in its place. redis-py raises AttributeError where another coroutine disconnects between
    its look at the connection and its sending, as in a process that was frozen and continues.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except (RuntimeError, AttributeError) as error:
            if isinstance(error, AttributeError) and error.obj is not None:
                raise
            raise redis.exceptions.ConnectionError("The connection was lost before the command was sent.") from error


class _ToPrimary:
    """Goes before a connection class of redis-py: connects to the primary, and to no other server."""

    _sock: Any

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        self._primary = primary
        super().__init__(**options)

    def _connect(self) -> Any:
        deadline = time.monotonic() + _SETTLES_WITHIN_S
        while not self._primary.is_settled and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
        self.host, self.port = self._primary.where()
        self._primary.watch(self)
        try:
            return super()._connect()  # type: ignore[misc]
        except OSError as error:
            raise NoPrimary(_AWAY) from error

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Greet the server, and ask it whether it takes writes."""
        super().on_connect_check_health(check_health)  # type: ignore[misc]
        with suppress(redis.exceptions.NoPermissionError):
            self.send_command("ROLE", check_health=False)  # type: ignore[attr-defined]
            _require_primary(self.read_response())  # type: ignore[attr-defined]
        _require_same(self._primary, (self.host, self.port))

    def leave(self) -> None:
        """End the connection; the thread or greenlet that uses it receives a ConnectionError at once."""
        inner = getattr(self._sock, "_sock", self._sock)  # of gevent's socket the system's
        if isinstance(inner, _socket.socket):
            with suppress(OSError):
                _socket.socket.shutdown(inner, _socket.SHUT_RDWR)  # TLS has a method of its own, which waits


class _AsyncToPrimary:
    """Like `_ToPrimary`, for coroutines."""

    _writer: Any

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        self._primary = primary
        super().__init__(**options)

    async def _connect(self) -> None:
        deadline = time.monotonic() + _SETTLES_WITHIN_S
        while not self._primary.is_settled and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_AGAIN_S)
        self.host, self.port = self._primary.where()
        self._loop = asyncio.get_running_loop()
        self._primary.watch(self)
        try:
            await super()._connect()  # type: ignore[misc]
        except OSError as error:
            raise NoPrimary(_AWAY) from error

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Greet the server, and ask it whether it takes writes."""
        await super().on_connect_check_health(check_health)  # type: ignore[misc]
        with suppress(redis.exceptions.NoPermissionError):
            await self.send_command("ROLE", check_health=False)  # type: ignore[attr-defined]
            _require_primary(await self.read_response())  # type: ignore[attr-defined]
        _require_same(self._primary, (self.host, self.port))

    def leave(self) -> None:
        """End the connection, from any thread; a coroutine that uses it receives a ConnectionError."""
        with suppress(RuntimeError):  # the loop has ended, and the connection with it
            self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


def _require_primary(role: Any) -> None:
    if role[0] not in {b"master", "master"}:
        raise NoPrimary("the server that the Sentinels name takes no writes")


def _require_same(primary: Primary, at: tuple[str, int]) -> None:
    if primary.where() != at:
        raise NoPrimary("the primary has moved meanwhile")
