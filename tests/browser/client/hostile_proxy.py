"""A proxy like those in company networks, as a process of its own: it buffers, cuts, refuses, is slow or silent.

`python -m tests.browser.client.hostile_proxy PORT` prints the port where it listens, and forwards to PORT. Each line of
its input is a manner, which it has from then on, and is answered by `ok`. It speaks HTTP/1.1, one request a connection.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_UPGRADE = b"upgrade: websocket"
_FORBIDDEN = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<hr>\n"
)
_OPEN_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
_OTHERS_JSON = '{"job_id": "another", "status": "completed", "tokens": ["not ours"], "cursor": "1.1", "done": true}'

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


@dataclass
class Manner:
    """What the proxy does to requests. The defaults do no harm."""

    buffers: bool = False  # gives an answer when all of it is there
    cut_after_ms: int = 0  # closes every connection of a job's reader that lasts longer
    takes_no_upgrade: bool = False
    bytes_a_tick: int = 0  # of answers, each 20 ms
    fails_each: int = 0  # answers `failure` to every so many-th request of a job's reader
    fails: int = 0  # answers it to this many of them, and no more
    failure: int = 502
    retry_after_s: int | None = None  # and says so in its failures
    fails_in_json: bool = False  # as another program's interface does, and not with a page
    is_mute: bool = False  # answers streams with 200, and never sends a byte
    refuses_streams: bool = False
    never_answers: str = ""  # requests whose path ends with this word
    loses_answers: int = 0  # hangs up when this many answers are about to come
    freezes: bool = False  # what is open stays open, and nothing comes any more; what is new goes through


@dataclass
class HostileProxy:
    """Forwards to a port of loopback."""

    target_port: int
    manner: Manner = field(default_factory=Manner)
    _seen: int = 0

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Serve one connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(self._lasts_s(head)):
                await self._forward(head, reader, writer)
        writer.transport.abort() if self.manner.cut_after_ms else writer.close()

    def _lasts_s(self, head: bytes) -> float | None:
        return self.manner.cut_after_ms / 1000 if self.manner.cut_after_ms and _is_reading(head) else None

    async def _forward(self, head: bytes, reader: Reader, writer: Writer) -> None:
        manner, is_stream = self.manner, b"/stream?" in head.split(b"\r\n")[0]
        if self._is_failing(head):
            writer.write(_failure(manner))
        elif is_stream and manner.refuses_streams:
            writer.write(_FORBIDDEN)
        elif manner.never_answers and _path(head).endswith(manner.never_answers.encode()):
            await reader.read()
        elif is_stream and manner.is_mute:
            writer.write(_OPEN_STREAM)
            await reader.read()
        else:
            is_upgrade = _UPGRADE in head.lower() and not manner.takes_no_upgrade
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.target_port)
            there.write(head if is_upgrade else _closing(head))
            forth = asyncio.create_task(_pass_on(reader, there))
            try:
                await self._answer(there_reader, writer, manner)
            finally:
                forth.cancel()
                there.transport.abort()
        await writer.drain()

    def _is_failing(self, head: bytes) -> bool:
        if not _is_reading(head):
            return False
        self._seen += 1
        self.manner.fails -= 1
        return self.manner.fails >= 0 or (self.manner.fails_each > 0 and self._seen % self.manner.fails_each == 0)

    async def _answer(self, there: Reader, writer: Writer, manner: Manner) -> None:
        if manner.loses_answers:
            manner.loses_answers -= 1
            await there.read(1)
        elif manner.buffers:
            writer.write(await there.read())
        elif manner.bytes_a_tick:
            while content := await there.read(manner.bytes_a_tick):
                writer.write(content)
                await writer.drain()
                await asyncio.sleep(0.02)
        else:
            while content := await there.read(65536):
                while self.manner.freezes and manner is not self.manner:
                    await asyncio.sleep(0.02)
                writer.write(content)
                await writer.drain()

    async def obey(self, commands: Reader) -> None:
        """Take a new behaviour from each line of the input, until it ends."""
        while line := await commands.readline():
            self.manner = Manner(**json.loads(line))
            print("ok", flush=True)


def _failure(manner: Manner) -> bytes:
    kind, body = ("application/json", _OTHERS_JSON) if manner.fails_in_json else ("text/html", "<hr>\n")
    lines = [f"HTTP/1.1 {manner.failure} No", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    if manner.retry_after_s is not None:
        lines.append(f"Retry-After: {manner.retry_after_s}")
    return "\r\n".join((*lines, "Connection: close", "", body)).encode()


def _is_reading(head: bytes) -> bool:
    return _path(head).endswith((b"/stream", b"/tokens", b"/events", b"/ws", b"/v1/poll"))


def _path(head: bytes) -> bytes:
    return head.split(b"\r\n")[0].split(b" ")[1].split(b"?")[0]


def _closing(head: bytes) -> bytes:
    """The head without the fields of one connection, so that the end of the connection ends the response."""
    dropped = (b"connection:", b"upgrade:", b"keep-alive:")
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(dropped)]
    return b"\r\n".join((*lines, b"Connection: close", b"", b""))


async def _pass_on(reader: Reader, writer: Writer) -> None:
    with suppress(OSError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
        writer.transport.abort()  # the client has left


async def _main(target_port: int) -> None:
    proxy = HostileProxy(target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    commands: Any = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    await proxy.obey(commands)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
