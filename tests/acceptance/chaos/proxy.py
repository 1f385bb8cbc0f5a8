"""A TCP proxy that fails on command: it hangs, cuts what is open, or lets nobody in."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Proxy:
    """Forwards from a port of its own to whatever `connect` opens."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._passes = asyncio.Event()
        self._passes.set()
        self._is_refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.refuse()
        self._passes.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def hang(self) -> None:
        """Connections stay open, new ones are accepted, and nothing comes through any more."""
        self._passes.clear()

    def cut(self) -> None:
        """Reset every open connection."""
        for writer in list(self._writers):
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    def refuse(self) -> None:
        """Reset every connection, and every new one."""
        self._is_refusing = True
        self.cut()

    def restore(self) -> None:
        """All is well again; what was held back goes through."""
        self._is_refusing = False
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._is_refusing:
                writer.transport.abort()
                return
            await self._passes.wait()
            there = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._writers.discard(writer)
        self._writers |= {writer, there[1]}
        try:
            await asyncio.gather(self._forward(reader, there[1]), self._forward(there[0], writer))
        finally:
            self._writers -= {writer, there[1]}

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while received := await source.read(65536):
                await self._passes.wait()
                sink.write(received)
                await sink.drain()
            await self._passes.wait()
        except OSError:
            return  # the other direction sees it, too
        finally:
            sink.close()
