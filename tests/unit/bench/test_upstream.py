"""The benchmarks' upstream and connection: what they speak is what the product meets."""

import asyncio
import json
import time

import pytest

from bench.http_connection import answer_length
from bench.upstream import Stream, Wheel
from tokentail.jobs.job import FinishReason
from worker.chunk import Finish, Terminal, UsageReport
from worker.dialects.openai.chat_parser import OpenAiChatParser

_TOKENS = 5


async def _ask(model: str, until: bytes) -> bytes:
    """What the upstream sends up to `until`, over a real connection."""
    wheel = Wheel(tokens_per_s=200.0)
    server = await asyncio.get_running_loop().create_server(lambda: Stream(wheel), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        body = json.dumps({"model": model, "max_tokens": _TOKENS}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        received = await asyncio.wait_for(reader.readuntil(until), 5)
        writer.close()
        await writer.wait_closed()
    return received


def _unchunked(received: bytes) -> bytes:
    rest, body = received.partition(b"\r\n\r\n")[2], b""
    while rest:
        length, _, rest = rest.partition(b"\r\n")
        size = int(length, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
    return body


def test_a_stream_ends_as_providers_end_theirs() -> None:
    """The product's own parser finds the tokens with their times, the finish reason, usage and the end marker."""
    began = time.monotonic_ns()
    received = asyncio.run(_ask("bench", b"\r\n0\r\n\r\n"))
    chunks = list(OpenAiChatParser().feed(_unchunked(received)))
    texts = [chunk for chunk in chunks if isinstance(chunk, str) and chunk]
    sent = [int(text) for text in texts]
    assert len(sent) == _TOKENS
    moments = [began, *sent, time.monotonic_ns()]
    assert moments == sorted(moments)
    assert [chunk.reason for chunk in chunks if isinstance(chunk, Finish)] == [FinishReason.STOP]
    assert [chunk.usage.output_tokens for chunk in chunks if isinstance(chunk, UsageReport)] == [_TOKENS]
    assert isinstance(chunks[-1], Terminal)


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_an_answer_is_complete_only_with_its_last_byte(name: str) -> None:
    """However the bytes are split, the length is known once the head is there, and is always the same."""
    answer = b"HTTP/1.1 200 OK\r\n" + name.encode() + b": 3\r\nX: y\r\n\r\n"
    for i in range(len(answer)):
        assert answer_length(answer[:i]) is None
    assert answer_length(answer) == answer_length(answer + b"{}\n") == len(answer) + 3
