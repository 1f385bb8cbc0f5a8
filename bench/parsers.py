"""Parsers: how many megabytes a second each takes in, and whether ten times the bytes take ten times as long.

Usual streams and the worst that a peer can send, in pieces of 1, 17 and 65,536 bytes. Limits are out of the way, so
that all of it is held where the stream says so. No process but node is started, and nothing goes over a network.
"""

import http.client
import io
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from bench.measure import Measure, ratio, take_turns
from tokentail.client.responses import parse_object, parse_update
from tokentail.sse import SseDecoder
from worker.dialects.anthropic.parser import AnthropicParser
from worker.dialects.ollama_parser import OllamaParser
from worker.dialects.openai.chat_parser import OpenAiChatParser
from worker.upstream.http_answer import ChunkedBody
from worker.upstream.ndjson import NdjsonDecoder
from worker.upstream.provider import StreamParser

_ROUNDS = 2
_NO_LIMIT = 1 << 40
# Bytes of the longer stream by those of a piece; smaller pieces cost a call each, so there are fewer of them.
_SIZES = {65_536: 50_000_000, 17: 10_000_000, 1: 2_000_000}
_CLIENT = Path(__file__).parents[1] / "app" / "static" / "client" / "tokentail.js"

_DELTA = b'data: {"choices":[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}\n\n'
_POLL = (
    b'id: k7f2.4\ndata: {"job_id":"j","status":"running","tokens":["Hel","lo"],"cursor":"k7f2.4","reset":false,'
    b'"done":false,"poll_after_ms":250}\n\n'
)
_EVENTS = {
    "usual": _DELTA,
    "empty data lines": b"data:\n",
    "one line": b"x",
    "comments": b": ping\n",
    "CR LF": b"data: x\r\n\r\n",
}
_LINES = {
    "usual": b'{"message":{"role":"assistant","content":" hello"},"done":false}\n',
    "blank lines": b"\r\n",
    "one line": b"x",
}
_CHUNKS = {"usual": b"%x\r\n%b\r\n" % (len(_DELTA), _DELTA), "one byte each": b"1\r\nx\r\n"}

_DIALECTS: dict[str, tuple[Callable[[], StreamParser], bytes]] = {
    "OpenAI's dialect": (OpenAiChatParser, _DELTA),
    "Anthropic's dialect": (
        AnthropicParser,
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" hello"}}\n\n',
    ),
    "Ollama's dialect": (OllamaParser, _LINES["usual"]),
}

_Feed = Callable[[bytes, int, int], float]  # a unit of the stream, how many bytes, in what pieces: the seconds


def measure_parsers() -> Iterator[Measure]:
    """The parsers one after the other; the JavaScript client's only where node is installed."""
    parsers: list[tuple[str, dict[str, bytes], _Feed]] = [
        ("SSE", _EVENTS, lambda *given: _fed(SseDecoder(_NO_LIMIT).feed, *given)),
        ("NDJSON", _LINES, lambda *given: _fed(NdjsonDecoder(_NO_LIMIT).feed, *given)),
        ("chunked body", _CHUNKS, _read_chunks),
        ("Python client", {"usual": _POLL}, lambda *given: _fed(_updates(SseDecoder(_NO_LIMIT)), *given)),
    ]
    for name, (parser_of, unit) in _DIALECTS.items():
        parsers.append((name, {"usual": unit}, lambda *given, made=parser_of: _fed(_chunks(made()), *given)))
    if node := shutil.which("node"):
        parsers.append(("JavaScript client", {**_EVENTS, "usual": _POLL}, lambda *given: _fed_by_node(node, *given)))
    for name, streams, feed in parsers:
        for stream, unit in streams.items():
            for piece, total in _SIZES.items():
                yield _measured(f"{name}, {stream}, pieces of {piece:,}", feed, unit, total, piece)


def _measured(name: str, feed: _Feed, unit: bytes, total: int, piece: int) -> Measure:
    rates = take_turns((total, total // 10), _ROUNDS, lambda size: ratio(size / 1e6, feed(unit, size, piece)))
    return Measure(name, "MB/s", rates[total], rates[total // 10], "a tenth of the bytes")


def _fed(feed: Callable[[bytes], object], unit: bytes, size: int, piece: int) -> float:
    stream = unit * -(-size // len(unit))
    began = time.perf_counter()
    for at in range(0, len(stream), piece):
        feed(stream[at : at + piece])
    return time.perf_counter() - began


def _chunks(parser: StreamParser) -> Callable[[bytes], object]:
    return lambda received: deque(parser.feed(received), maxlen=0)


def _updates(decoder: SseDecoder) -> Callable[[bytes], object]:
    def feed(received: bytes) -> None:
        for event in decoder.feed(received):
            parse_update(parse_object(200, event.data.encode()), "sse")

    return feed


class _Network(io.RawIOBase):
    """A connection whose reads bring pieces of this size at most; it stands for the socket, too."""

    def __init__(self, received: bytes, piece: int) -> None:
        self._received = memoryview(received)
        self._piece = piece

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken = self._received[: min(len(buffer), self._piece)]
        buffer[: len(taken)] = taken
        self._received = self._received[len(taken) :]
        return len(taken)


def _read_chunks(unit: bytes, size: int, piece: int) -> float:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    network = _Network(head + unit * -(-size // len(unit)) + b"0\r\n\r\n", piece)
    body = http.client.HTTPResponse(cast(Any, network))
    began = time.perf_counter()
    body.begin()
    chunks = ChunkedBody(body, cast(Any, body.fp))
    while chunks.read_whole_chunks() or body.read1(65_536):
        pass
    return time.perf_counter() - began


def _fed_by_node(node: str, unit: bytes, size: int, piece: int) -> float:
    script = str(Path(__file__).with_suffix(".mjs"))
    argv = [node, script, str(_CLIENT), unit.decode(), str(size), str(piece)]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if told.returncode:
        raise RuntimeError(f"node failed: {told.stderr[-2000:]}")
    return float(told.stdout)
