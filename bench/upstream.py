"""The upstream: an OpenAI-compatible server of very many streams from very little CPU. `python -m bench.upstream {…}`.

A token's text is a space and `time.monotonic_ns()` of its sending, a clock that all processes of a machine share. The
body's `max_tokens` is the length of the answer; without it, the stream goes on until its client leaves.

The model `silent` sends all of it at once, then says nothing more; `told` also sends a token whenever somebody asks the
model `tell`. `flood` is sent as fast as its client reads, and `refused` has status 400 and an error of a megabyte.
"""

import asyncio
import itertools
import json
import time
from typing import Any, cast

import uvloop

from bench.http_connection import answer_length
from bench.program import arguments

SILENT, TOLD, TELL, FLOOD, REFUSED = "silent", "told", "tell", "flood", "refused"
_TICK_S = 0.001
_BURST = 50  # tokens of one write of a flood, each in an HTTP chunk of its own
_GOLDEN = 0.618033988749895  # its multiples spread streams over a period, however many there are


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "bench", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [choice]}


def _event(message: dict[str, Any]) -> bytes:
    """The message as it goes over the wire: a server-sent event, in an HTTP chunk of its own."""
    return _chunked(b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n")


def _chunked(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def _answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_HELLO = _HEAD + _event(_chunk({"role": "assistant", "content": ""}))
_BEFORE, _AFTER = (json.dumps(_chunk({"content": " @"}), separators=(",", ":")).encode()).split(b"@")
_WORDS = "This model's maximum context length is 128000 tokens; please reduce the length of the messages. "
_ERROR = {"error": {"message": _WORDS * 10_000, "code": "context_length_exceeded"}}
_REFUSAL = _answer(b"400 Refused", json.dumps(_ERROR).encode())


def _token() -> bytes:
    return _chunked(b"data: %b%d%b\n\n" % (_BEFORE, time.monotonic_ns(), _AFTER))


def _ending(tokens: int) -> bytes:
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    messages = (_chunk({}, "stop"), {**_chunk({}), "choices": [], "usage": usage})
    return b"".join(map(_event, messages)) + _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Wheel:
    """Time in slots of a tick, as many as there are in the period of a token: each stream is sent to once a turn."""

    def __init__(self, tokens_per_s: float) -> None:
        self._slots: list[dict[Stream, None]] = [{} for _ in range(max(1, round(1 / tokens_per_s / _TICK_S)))]
        self._places = itertools.count()
        self._turning: asyncio.Task[None] | None = None
        self.told: dict[Stream, None] = {}

    def join(self, stream: "Stream") -> "dict[Stream, None]":
        """Send to this stream from now on; its slot, from which it takes itself out."""
        slot = self._slots[int(len(self._slots) * (next(self._places) * _GOLDEN % 1))]
        slot[stream] = None
        if self._turning is None or self._turning.done():
            self._turning = asyncio.get_running_loop().create_task(self._turn())
        return slot

    async def _turn(self) -> None:
        """Send for as long as there are streams. A slot that is late is not left out."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for tick in itertools.count():
            # Even of 0: what is written leaves when the loop has its turn.
            await asyncio.sleep(max(0.0, began + tick * _TICK_S - loop.time()))
            slot = self._slots[tick % len(self._slots)]
            for stream in [*slot]:
                stream.send_token()
            if not any(self._slots):
                return


class Stream(asyncio.Protocol):
    """One connection, with one answer after the other."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._received = bytearray()
        self._slot: dict[Stream, None] = {}
        self._is_flood = self._is_full = False
        self._tokens = self._sent = 0  # of the answer that is under way; 0 tokens: it does not end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = answer_length(self._received)
        if length is None or len(self._received) < length:
            return  # there is more to come
        request = json.loads(self._received[self._received.index(b"\r\n\r\n") :])
        self._received = bytearray()
        self._begin(request["model"], request.get("max_tokens") or 0)

    def _begin(self, model: str, tokens: int) -> None:
        self._tokens, self._sent, self._is_flood = tokens, 0, model == FLOOD
        if model == REFUSED:
            self._write(_REFUSAL)
        elif model == TELL:
            for stream in self._wheel.told:
                stream._write(_token())
            self._write(_answer(b"200 OK", b"{}"))
        elif model in {SILENT, TOLD}:
            self._write(_HELLO + b"".join(_token() for _ in range(tokens)))
            if model == TOLD:
                self._wheel.told[self] = None
        else:
            self._write(_HELLO)
            if model == FLOOD:
                self.resume_writing()
            else:
                self._slot = self._wheel.join(self)

    def send_token(self) -> None:
        """Send the next token, and behind the last one the end."""
        self._sent += 1
        is_last = self._sent == self._tokens
        self._write(_token() + _ending(self._tokens) if is_last else _token())
        if is_last:
            self._slot.pop(self)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        while self._is_flood and not (self._is_full or self._transport.is_closing()):
            self._write(b"".join(_token() for _ in range(_BURST)))  # no two of them are equal

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_flood = False
        self._slot.pop(self, None)
        self._wheel.told.pop(self, None)


async def serve(port: int, tokens_per_s: float) -> None:
    """Serve for as long as the process lives: streams of so many tokens a second, each at times of its own."""
    wheel = Wheel(tokens_per_s)
    server = await asyncio.get_running_loop().create_server(lambda: Stream(wheel), "127.0.0.1", port, backlog=1000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(**arguments()))
