"""The load: one process that asks one address for the same thing again and again over keep-alive connections.

`python -m bench.load {…}` prints one JSON object. Each connection has one request under way. Where `wrk` is installed,
it is used instead (`bench/wrk.py`).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.http_connection import answer_length, request_bytes
from bench.program import answer

_LONGEST_ANSWER_S = 10.0


@dataclass
class Load:
    """What was answered within `wall_s`."""

    answers: int
    wall_s: float


class _Asker(asyncio.Protocol):
    """One connection. It asks until it is stopped, and `is_over` says when the last answer is there."""

    def __init__(self, request: bytes, answer: bytes) -> None:
        self._request = request
        self._beginning = answer
        self._received = b""
        self._is_stopped = False
        self.answers = 0
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.write(self._request)

    def data_received(self, received: bytes) -> None:
        self._received += received
        length = answer_length(self._received)
        if length is None or len(self._received) < length:
            return
        if not self._received.startswith(self._beginning):
            self._end(RuntimeError(f"the server answered {self._received[:500]!r}"))
            return
        self._received = b""
        self.answers += 1
        if self._is_stopped:
            self._end(None)
        else:
            self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("the server closed the connection"))

    def stop(self) -> None:
        self._is_stopped = True

    def _end(self, error: Exception | None) -> None:
        if not self.is_over.done():
            if error:
                self.is_over.set_exception(error)
            else:
                self.is_over.set_result(None)
        self._transport.close()


async def put_load(port: int, path: str, connections: int, for_s: float, headers: Sequence[str] = ()) -> Load:
    """Ask for `path`. Raises RuntimeError when any answer is not 200, OSError for a lost connection."""
    request = request_bytes("GET", path, b"127.0.0.1:%d" % port, headers=headers)
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(lambda: _Asker(request, b"HTTP/1.1 200 "), "127.0.0.1", port)
        askers.append(asker)
    await asyncio.sleep(for_s)
    for asker in askers:
        asker.stop()
    await asyncio.wait_for(asyncio.gather(*(asker.is_over for asker in askers)), _LONGEST_ANSWER_S)
    return Load(sum(asker.answers for asker in askers), time.monotonic() - began)


if __name__ == "__main__":
    answer(lambda **given: uvloop.run(put_load(**given)))
