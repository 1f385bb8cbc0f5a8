"""The quick client: what the way of a token needs of redis-py, without four costs that it would pay for each token.

redis-py's pool looks at each connection that it gives out: whether it was closed, or holds a reply that was never read.
Under gevent that look is a `poll` through the event loop: each round trip waits for its turn twice, and a busy process
has long turns. Taking a connection from the pool and putting it back costs a third of a commit. redis-py looks at every
argument before hiredis packs them, which takes longer than the packing. And a pipeline of redis-py's does more for each
reply to a script call than hiredis does.

This file and `connection.py` alone use the inside of redis-py; tokentail/config/library_parts.py lists it.
"""

import _socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hiredis
import redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.client import Pipeline
from redis.connection import ConnectionPool, HiredisRespSerializer

from tokentail.redis.name_lookup import look_up_within


def look_quickly(pool: ConnectionPool) -> None:
    """Have the pool's future connections look by one system call where that is possible, which under gevent it is."""
    kind: Any = pool.connection_class
    if not issubclass(kind, _QuickLook):
        pool.connection_class = type(f"Quick{kind.__name__}", (_QuickLook, kind), {})


class QuickPacker(HiredisRespSerializer):
    """Packs scripts' arguments, which are text, bytes and numbers, as they are."""

    def pack(self, *args: Any) -> list[bytes]:
        """The command as Redis takes it."""
        return [hiredis.pack_command(args)] if args[0] == "EVALSHA" else super().pack(*args)


class QuickClient(redis.Redis):
    """Like its base, with quick pipelines."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "QuickPipeline":
        """A pipeline; quick, where it is no transaction and all its commands are script calls."""
        return QuickPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class QuickPool(ConnectionPool):
    """Like its base; the connections of quick pipelines are kept, and taken again without a look at them."""

    _kept: list[Any]

    def reset(self) -> None:
        """Forget all connections, as in a process that was forked they are the parent's."""
        super().reset()
        self._kept = []

    def take(self) -> Any:
        """A connection for one round trip, perhaps lost. The caller keeps it when no reply is left in it."""
        self._checkpid()
        try:
            return self._kept.pop()
        except IndexError:
            return self.get_connection()

    def keep(self, connection: Any) -> None:
        """Have the connection for the next round trip."""
        self._kept.append(connection)

    def disconnect(self, inuse_connections: bool = True) -> None:
        """End the connections. Those that are kept are not in use, and always end."""
        for connection in list(self._kept):
            connection.disconnect()
        super().disconnect(inuse_connections)


class QuickPipeline(Pipeline):
    """Like its base; script calls alone are packed, sent and answered without a look at each."""

    connection_pool: QuickPool

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The replies, in the order of the commands. An error is one of them, or is raised."""
        is_transaction: Any = self.transaction
        calls = [args for args, _ in self.command_stack]
        if raise_on_error or is_transaction or not calls or not all(args[0] == "EVALSHA" for args in calls):
            return super().execute(raise_on_error)
        self.command_stack = []
        packed = [b"".join(map(hiredis.pack_command, calls))]
        connection = self.connection_pool.take()

        def send() -> list[Any]:
            connection.send_packed_command(packed)
            return [_reply(connection) for _ in calls]

        try:
            replies: list[Any] = connection.retry.call_with_retry(send, lambda _: connection.disconnect())
        except BaseException:
            connection.disconnect()  # replies may be left in it
            raise
        else:
            return replies
        finally:
            self.connection_pool.keep(connection)


def _reply(connection: Any) -> Any:
    """The next reply; an error that Redis sent is one. Raises redis-py's errors when the connection is lost."""
    reader: Any = getattr(connection._parser, "_reader", None)
    reply = NOT_ENOUGH_DATA if reader is None else reader.gets()
    while isinstance(reply, hiredis.PushNotification):  # of the server's maintenance, between the replies
        connection._parser.handle_push_response(reply)
        reply = reader.gets()
    if reply is NOT_ENOUGH_DATA:
        try:
            return connection.read_response()
        except redis.exceptions.ResponseError as error:
            return error
    if isinstance(reply, redis.exceptions.ConnectionError):
        connection.disconnect()
        raise reply
    return reply


def received(connection: Any) -> Any:
    """A reply that has arrived whole on a connection for coroutines; None when there is none. Raises what Redis sent.

    redis-py's `read_response` costs a coroutine and a time-out for each, which is much for each message of a flood.
    """
    reader = getattr(connection._parser, "_reader", None)
    reply = NOT_ENOUGH_DATA if reader is None else reader.gets()
    if reply is NOT_ENOUGH_DATA:
        return None
    if isinstance(reply, Exception):
        raise reply
    return reply


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
        inner, reader = self._inner, getattr(self._parser, "_reader", None)
        if timeout == 0 and inner is not None and reader is not None:
            try:
                if not reader.has_data():
                    inner.recv(1, _socket.MSG_PEEK)
            except BlockingIOError:
                return False  # open, and nothing to read
            except OSError:
                pass  # redis-py's own look, below, raises the error
        return bool(super().can_read(timeout))  # type: ignore[misc]

    def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None:
        """Send the command. Most often one system call takes it whole; gevent makes two, through four functions."""
        inner = self._inner
        if inner is not None and len(command) == 1:
            with suppress(OSError):  # redis-py meets it, too, and knows what it means
                sent = inner.send(command[0])
                if sent == len(command[0]):
                    return
                command = [command[0][sent:]]
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    @property
    def _inner(self) -> _socket.socket | None:
        """The system's socket inside gevent's, which never blocks. Others have none; TLS has its own buffer."""
        inner = None if hasattr(self._sock, "pending") else getattr(self._sock, "_sock", None)
        return inner if isinstance(inner, _socket.socket) and inner.gettimeout() == 0 else None
