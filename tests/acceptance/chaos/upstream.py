"""The upstream: an OpenAI-compatible server whose tokens say whose they are, and which remembers every call.

A prompt is `marker tokens period_ms`, and perhaps how many characters of padding each token has. The answer to the
job's n-th call is that many `MarkedToken`s, so what a reader has can be compared with what was sent.
"""

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.marked_token import MarkedToken
from tests.acceptance.chaos.padding import padded

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Call:
    """One request for an answer."""

    marker: int
    number: int
    tokens: int
    began_at: float  # monotonic, like every time here
    sent: int = 0
    is_whole: bool = False
    closed_at: float | None = None


class Upstream:
    """Serves on a port of its own; `calls` holds every job's, by its marker, in order."""

    def __init__(self) -> None:
        self.calls: defaultdict[int, list[Call]] = defaultdict(list)
        self._under_way: dict[int, Call] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, address, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop the upstream. Returns when all connections are closed and their tasks have ended."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def open_calls(self) -> list[Call]:
        """The calls whose answers are still being sent."""
        return list(self._under_way.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
                length = next(int(line.partition(":")[2]) for line in head if line.startswith("content-length:"))
                await self._answer(json.loads(await reader.readexactly(length)), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client left, which is how a cancelled stream ends
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answer(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        marker, tokens, period_ms, *padding = map(int, request["messages"][-1]["content"].split())
        calls = self.calls[marker]
        call = Call(marker, len(calls) + 1, tokens, time.monotonic())
        calls.append(call)
        self._under_way[id(call)] = call
        try:
            writer.write(_HEAD + _event(_chunk({"role": "assistant", "content": ""})))
            while call.sent < tokens:
                await asyncio.sleep(max(0.0, call.began_at + (call.sent + 1) * period_ms / 1000 - time.monotonic()))
                if reader.at_eof():
                    raise ConnectionResetError
                text = padded(MarkedToken(marker, call.number, call.sent).text, sum(padding))
                writer.write(_event(_chunk({"content": text})))
                call.sent += 1
                await writer.drain()
            usage = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": tokens + 3}
            ending = [_chunk({}, "stop"), {**_chunk({}), "choices": [], "usage": usage}]
            writer.write(b"".join(map(_event, ending)) + _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            call.is_whole = True
            await writer.drain()
        finally:
            call.closed_at = time.monotonic()
            del self._under_way[id(call)]


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "chaos", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


def _event(chunk: dict[str, Any]) -> bytes:
    return _chunked(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")


def _chunked(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)
