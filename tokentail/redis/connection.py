"""Connections to Redis: the one file that uses the inside of redis-py, which tokentail/config/library_checks.py lists.

Two costs of redis-py's, which a worker would pay for each token, are taken out.

redis-py's pool looks at each connection that it gives out: whether it was closed, or holds a reply that was never read.
Under gevent that look is a `poll` through the event loop: each round trip waits for its turn twice, and a busy process
has long turns. And redis-py looks at every argument before hiredis packs them, which takes longer than the packing.
"""

import _socket
from typing import Any

import hiredis
import redis
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio import Redis
from redis.connection import ConnectionPool, HiredisRespSerializer

from tokentail.redis.name_lookup import look_up_within


def look_quickly(pool: ConnectionPool) -> None:
    """Have the pool's future connections look by one system call where that is possible, which under gevent it is."""
    kind: Any = pool.connection_class
    if not issubclass(kind, _QuickLook):
        pool.connection_class = type(f"Quick{kind.__name__}", (_QuickLook, kind), {})


def translate_uvloop(pool: AsyncConnectionPool) -> None:
    """Have the pool's future connections report a loss by redis-py's own error, whatever class its URL asked for."""
    pool.connection_class = type("Connection", (_UvloopConnection, pool.connection_class), {})


def unpooled(client: Redis) -> Any:
    """A connection like those of the client's pool that belongs to the caller, and is not connected yet."""
    return client.connection_pool.make_connection()  # type: ignore[no-untyped-call]


def discard(pubsub: Any) -> None:
    """Close a subscription's connection that is not trusted any more, and its pool's idle connections with it.

    What broke the one has probably broken them; each would have to be found dead by a time-out of its own.
    """
    pubsub.close()
    pubsub.connection_pool.disconnect(inuse_connections=False)


class QuickPacker(HiredisRespSerializer):
    """Packs scripts' arguments, which are text, bytes and numbers, as they are."""

    def pack(self, *args: Any) -> list[bytes]:
        """The command as Redis takes it."""
        return [hiredis.pack_command(args)] if args[0] == "EVALSHA" else super().pack(*args)


class _QuickLook:
    """Goes before a connection class of redis-py."""

    _sock: Any
    _parser: Any
    port: Any
    socket_connect_timeout: Any

    def _connect(self) -> Any:
        if host := getattr(self, "host", ""):  # a Unix socket has none
            look_up_within(host, int(self.port), self.socket_connect_timeout)
        return super()._connect()  # type: ignore[misc]

    def can_read(self, timeout: float = 0) -> bool:
        """As redis-py has it: True or ConnectionError when the connection cannot be used as it is."""
        # gevent's socket has the system's inside, which never blocks. Others have none; TLS has its own buffer.
        inner = None if hasattr(self._sock, "pending") else getattr(self._sock, "_sock", None)
        reader = getattr(self._parser, "_reader", None)
        if timeout == 0 and isinstance(inner, _socket.socket) and inner.gettimeout() == 0 and reader is not None:
            try:
                if not reader.has_data():
                    inner.recv(1, _socket.MSG_PEEK)
            except BlockingIOError:
                return False  # open, and nothing to read
            except OSError:
                pass  # redis-py's own look, below, raises the error
        return bool(super().can_read(timeout))  # type: ignore[misc]


class _UvloopConnection:
    """Beside a class of redis-py's: uvloop raises RuntimeError where asyncio raises ConnectionError."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except RuntimeError as error:
            raise redis.exceptions.ConnectionError("The connection was lost before the command was sent.") from error
