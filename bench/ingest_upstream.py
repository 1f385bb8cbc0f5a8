"""The ingest benchmark's upstream: very many streams from very little CPU. `python -m bench.ingest_upstream --port P`.

The same stream as `bench/upstream.py` sends, but each event is made beforehand up to its time of sending, one timer
serves all streams, and a stream goes on until its client leaves. The model `flood` is sent as fast as its client reads;
`refused` is answered with status 400 and an error of a megabyte.
"""

import argparse
import asyncio
import itertools
import json
import time
from typing import cast

import uvloop

from bench.http_connection import answer_length
from bench.upstream import HEAD, chunk, event

FLOOD = "flood"
REFUSED = "refused"
_TICK_S = 0.001
_BURST = 50  # tokens of one write of a flood, each in an HTTP chunk of its own
_GOLDEN = 0.618033988749895  # its multiples spread streams over a period, however many there are

_HELLO = HEAD + event(chunk({"role": "assistant", "content": ""}))
_TIME_DIGITS = 19  # of a monotonic clock in ns, padded: so that every event has one length
_WORDS = "This model's maximum context length is 128000 tokens; please reduce the length of the messages. "
_ERROR = json.dumps({"error": {"message": _WORDS * 10_000, "code": "context_length_exceeded"}}).encode()
_REFUSAL = b"HTTP/1.1 400 Refused\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_ERROR),
    _ERROR,
)
_EVENT = event(chunk({"content": f" {0:0{_TIME_DIGITS}}"})).replace(b"0" * _TIME_DIGITS, b"%019d")


class Wheel:
    """Time in slots of a tick, as many as there are in the period of a token: each stream is sent to once a turn."""

    def __init__(self, tokens_per_s: float) -> None:
        self._slots: list[dict[Stream, None]] = [{} for _ in range(max(1, round(1 / tokens_per_s / _TICK_S)))]
        self._places = itertools.count()

    def join(self, stream: "Stream") -> "dict[Stream, None]":
        """Send to this stream from now on; its slot, from which it takes itself out."""
        slot = self._slots[int(len(self._slots) * (next(self._places) * _GOLDEN % 1))]
        slot[stream] = None
        return slot

    async def turn(self) -> None:
        """Send for as long as the process lives. A slot that is late is not left out."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for tick in itertools.count():
            # Even of 0: what is written leaves when the loop has its turn.
            await asyncio.sleep(max(0.0, began + tick * _TICK_S - loop.time()))
            for stream in self._slots[tick % len(self._slots)]:
                stream.send(_EVENT % time.monotonic_ns())


class Stream(asyncio.Protocol):
    """One connection, with one answer that does not end."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._received = bytearray()
        self._slot: dict[Stream, None] = {}
        self._is_flood = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self.send = self._transport.write

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = answer_length(self._received)
        if length is None or len(self._received) < length:
            return  # there is more to come
        request = json.loads(self._received[self._received.index(b"\r\n\r\n") :])
        self._received = bytearray()
        if request["model"] == REFUSED:
            self.send(_REFUSAL)
            return
        self.send(_HELLO)
        self._is_flood = request["model"] == FLOOD
        if self._is_flood:
            self.resume_writing()
        else:
            self._slot = self._wheel.join(self)

    def pause_writing(self) -> None:
        self._is_flood = False

    def resume_writing(self) -> None:
        self._is_flood = True
        while self._is_flood and not self._transport.is_closing():
            self.send((_EVENT * _BURST) % ((time.monotonic_ns(),) * _BURST))

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_flood = False
        self._slot.pop(self, None)


async def _run(port: int, tokens_per_s: float) -> None:
    wheel = Wheel(tokens_per_s)
    server = await asyncio.get_running_loop().create_server(lambda: Stream(wheel), "127.0.0.1", port, backlog=1000)
    async with server:
        await wheel.turn()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens-per-s", type=float, required=True)
    options = parser.parse_args()
    uvloop.run(_run(options.port, options.tokens_per_s))
