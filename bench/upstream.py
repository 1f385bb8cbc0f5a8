"""The upstream: an OpenAI-compatible server whose tokens say when they were sent. `python -m bench.upstream --port P`.

A token's text is a space and `time.monotonic_ns()` of its sending, a clock that all processes of a machine share. The
body's `max_tokens` is the length of the answer. The model `silent` sends all of it at once, then says nothing more;
`told` sends a token whenever somebody asks the model `tell`.
"""

import argparse
import asyncio
import itertools
import json
import time
from typing import Any

import uvloop

SILENT = "silent"
TOLD = "told"
TELL = "tell"
_SILENCE_S = 600.0  # longer than any benchmark
_GOLDEN = 0.618033988749895  # its multiples spread streams over a period, however many there are

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Upstream:
    """Each stream sends `tokens_per_s`, at times of its own within the period, as independent models would."""

    def __init__(self, tokens_per_s: float) -> None:
        self._period_s = 1 / tokens_per_s
        self._streams = itertools.count()
        self._told: dict[asyncio.StreamWriter, None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: requests one after the other, until the client leaves."""
        try:
            while request := await _read_request(reader):
                if request["model"] == TELL:
                    self._tell()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                else:
                    await self._answer(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client left, which is how a cancelled stream ends
        finally:
            self._told.pop(writer, None)
            writer.close()

    def _tell(self) -> None:
        for writer in self._told:
            writer.write(_token())

    async def _answer(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tokens = int(request["max_tokens"])
        is_silent = request["model"] in {SILENT, TOLD}
        period_s = 0.0 if is_silent else self._period_s
        loop = asyncio.get_running_loop()
        begin = loop.time() + period_s * (next(self._streams) * _GOLDEN % 1)
        writer.write(HEAD + event(chunk({"role": "assistant", "content": ""})))
        for i in range(tokens):
            if (delay_s := begin + i * period_s - loop.time()) > 0:
                await asyncio.sleep(delay_s)
            writer.write(_token())
        if is_silent:
            if request["model"] == TOLD:
                self._told[writer] = None
            await asyncio.wait_for(reader.read(1), _SILENCE_S)
            raise ConnectionError
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
        ending = [chunk({}, "stop"), {**chunk({}), "choices": [], "usage": usage}]
        writer.write(b"".join(map(event, ending)) + chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()


def _token() -> bytes:
    return event(chunk({"content": f" {time.monotonic_ns()}"}))


async def _read_request(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The JSON body of the next request; None when the client has left."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
    request: dict[str, Any] = json.loads(await reader.readexactly(length))
    return request


def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    """One message of OpenAI's stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "bench", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [choice]}


def event(message: dict[str, Any]) -> bytes:
    """The message as it goes over the wire: a server-sent event, in an HTTP chunk of its own."""
    return chunked(b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n")


def chunked(content: bytes) -> bytes:
    """An HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(content), content)


async def _run(port: int, tokens_per_s: float) -> None:
    server = await asyncio.start_server(Upstream(tokens_per_s).serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens-per-s", type=float, default=20.0)
    options = parser.parse_args()
    uvloop.run(_run(options.port, options.tokens_per_s))
