"""Connections to Redis without two costs of redis-py's that a worker would pay for each token.

redis-py's pool looks at each connection that it gives out: whether it was closed, or holds an answer that nobody read.
Under gevent that look is a `poll` through the event loop: each round trip waits for its turn twice, and a busy process
has long turns. And redis-py looks at every argument before hiredis packs them, which takes longer than the packing.
"""

import _socket
from typing import Any

import hiredis
from redis.connection import ConnectionPool, HiredisRespSerializer


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


class _QuickLook:
    """Goes before a connection class of redis-py."""

    _sock: Any
    _parser: Any

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
                pass  # redis-py says what is wrong with it
        return bool(super().can_read(timeout))  # type: ignore[misc]
