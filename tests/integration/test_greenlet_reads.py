"""Reading an answer's body as the worker does, in greenlets: chunks of all sizes, each whole, cut or with others."""

import subprocess
import sys
import time
from hashlib import sha256

import pytest

from tests.integration.raw_server import CHUNKED, Connection, chunk, raw_server

_READER = """
from gevent import monkey
monkey.patch_all()
import hashlib, sys
from worker.upstream.provider import HttpCall
from worker.upstream.transport import HttpTransport

transport = HttpTransport(connections=2, connect_timeout_s=2, read_timeout_s=10)
answer = transport.send(HttpCall(sys.argv[1], {}, b"{}"))
content = b"".join(iter(answer.read, b""))
print(len(content), hashlib.sha256(content).hexdigest())
"""
_SMALL, _LARGE = b"data: a token\n\n", b"data: " + b"x" * 30_000 + b"\n\n"
_PATTERNS = {
    "small, then large": [_SMALL] * 5 + [_LARGE] * 5 + [_SMALL] * 5,
    "in turns": [_SMALL, _LARGE] * 6,
    "as large as a buffer": [b"x" * size for size in range(2030, 2050)],
}


@pytest.mark.parametrize("pieces", _PATTERNS.values(), ids=_PATTERNS)
@pytest.mark.parametrize("cut", [0, 1, 10])
def test_chunks_of_all_sizes_arrive(pieces: list[bytes], cut: int) -> None:
    """Each is sent by itself, `cut` bytes of its end behind it."""

    def answer(connection: Connection) -> None:
        connection.take_request()
        connection.send(CHUNKED)
        for piece in pieces:
            framed = chunk(piece)
            connection.send(framed[: len(framed) - cut])
            time.sleep(0.005)
            connection.send(framed[len(framed) - cut :])
            time.sleep(0.005)
        connection.send(chunk(b""))

    with raw_server(answer) as server:
        command = [sys.executable, "-c", _READER, server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    content = b"".join(pieces)
    assert done.stdout == f"{len(content)} {sha256(content).hexdigest()}\n", done.stderr
