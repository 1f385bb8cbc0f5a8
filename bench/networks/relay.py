"""The relay between a proxy and the web process: it shows what the proxy does, and it can be an upstream that dies."""

import asyncio
import re
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

_REQUEST = re.compile(rb"(?:^|\r\n)(?:GET|HEAD|POST|DELETE) (\S+) HTTP/1\.[01]\r\n")
_T = TypeVar("_T")


@dataclass(eq=False)
class Connection:
    """One connection that the proxy opened."""

    began: float
    paths: list[str] = field(default_factory=list)  # of its requests
    ended: float | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    is_held: bool = False

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


class Relay:
    """Forwards from a port of loopback to the web process. Its loop has a thread of its own."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: list[Connection] = []
        self._unanswered: tuple[str, ...] = ()
        self._closing: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop(is_final=True))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def never_answer(self, *words: str) -> None:
        """Take requests whose path has one of the words, and neither answer nor close them."""
        self._unanswered = words

    def close_unanswered(self, *words: str) -> None:
        """Close the connection of each request whose path has one of the words, without an answer."""
        self._closing = words

    def die(self) -> None:
        """Close every connection, but for the unanswered ones, and refuse new ones until `live`."""
        self._run(self._stop())

    def live(self) -> None:
        self._run(self._listen())

    def requests(self, word: str) -> int:
        """How many requests had the word in their path."""
        return sum(word in path for each in list(self._connections) for path in each.paths)

    def ended(self, word: str) -> float | None:
        """When the connection ended whose last request has the word; None while there is one that is open."""
        own = [each for each in list(self._connections) if each.paths and word in each.paths[-1]]
        return None if not own or any(each.ended is None for each in own) else max(each.ended or 0.0 for each in own)

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _stop(self, *, is_final: bool = False) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._connections:
            if is_final or not each.is_held:
                each.close()
        if is_final and self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(time.monotonic(), writers=[writer])
        self._connections.append(connection)
        back: asyncio.Task[None] | None = None
        there: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):  # one side has closed, and so does the other
                while content := await reader.read(65536):
                    if not self._is_taken(content, connection):
                        break
                    if connection.is_held:
                        continue
                    if there is None:
                        there_reader, there = await asyncio.open_connection("127.0.0.1", self._target_port)
                        connection.writers.append(there)
                        back = asyncio.create_task(_pass_on(there_reader, writer))
                    there.write(content)
                    await there.drain()
        finally:
            connection.ended = time.monotonic()
            connection.close()
            if back is not None:
                await asyncio.wait([back], timeout=5)
            self._tasks.discard(task)

    def _is_taken(self, content: bytes, connection: Connection) -> bool:
        """Note the requests that begin in the content; false if the connection is to be closed without an answer."""
        paths = [path.decode(errors="replace") for path in _REQUEST.findall(content)]
        connection.paths += paths
        connection.is_held |= _have(paths, self._unanswered)
        return not _have(paths, self._closing)


def _have(paths: list[str], words: tuple[str, ...]) -> bool:
    return any(word in path for word in words for path in paths)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    writer.close()
