"""The probe: whatever is at the address, it returns in time, with an object or with nothing."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tokentail.supervisor.embedded_valkey import is_answering
from tokentail.supervisor.probe import probe

_OK = b"HTTP/1.1 200 OK\r\n"
_WITHIN_S = 0.3


@contextmanager
def peer(answer: bytes, *, drips: bool = False, closes: bool = True) -> Iterator[str]:
    """The address of a program that answers with these bytes, at once or one now and then."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.recv(65536)
                for part in [bytes([byte]) for byte in answer] if drips else [answer]:
                    connection.sendall(part)
                    is_over.wait(_WITHIN_S / 5 if drips else 0)
                if not closes:
                    is_over.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/readyz"
        is_over.set()
    thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [_OK + b'\r\n{"a": 1}', _OK + b'Content-Length: 8\r\n\r\n{"a": 1}', b'HTTP/1.0 200 OK\n\n{"a": 1}'],
)
def test_an_object_is_given(answer: bytes) -> None:
    """With a length or without."""
    with peer(answer) as url:
        assert probe(url, _WITHIN_S) == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\xff" * 100,
        b"HTTP/1.1 200",
        _OK + b"Content-Length: 100\r\n\r\n{}",
        _OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        _OK + b"\r\n",
        _OK + b"\r\n{",
        _OK + b"\r\n[1]",
        _OK + b'\r\n"\xff"',
        _OK + b"\r\n" + b"[" * 100_000,
        _OK + b"\r\n" + b" " * (2 << 20) + b"{}",
        _OK + b"X: y\r\n" * 1000 + b"\r\n{}",
        b"HTTP/1.1 500 No\r\n\r\n{}",
        b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 302 No\r\nLocation: /\r\n\r\n",
    ],
)
def test_what_is_no_good_answer_is_none(answer: bytes) -> None:
    """Cut, empty, not HTTP, not JSON, endless, or a refusal."""
    with peer(answer) as url:
        assert probe(url, _WITHIN_S) is None


@pytest.mark.parametrize("drips", [True, False])
def test_a_slow_answer_is_given_up_in_time(drips: bool) -> None:
    """Each byte comes in time, and the whole does not; or nothing comes at all."""
    with peer(b"HTTP/1.1 200 OK\r\n" * 20 if drips else b"", drips=drips, closes=False) as url:
        began = time.monotonic()
        assert probe(url, _WITHIN_S) is None
        assert time.monotonic() - began < _WITHIN_S * 5


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 No\r\n\r\n", b"+OK\r\n", b"-ERR x\r\n", b":\r\n", b"$x\r\n", b""])
def test_what_is_no_redis_does_not_answer_like_one(answer: bytes) -> None:
    """Another program at the address of Redis is like none."""
    with peer(answer) as url:
        assert not is_answering(url.replace("http", "redis").replace("/readyz", ""))


def test_nothing_listens() -> None:
    """A refused connection is no answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert probe(f"http://127.0.0.1:{port}/readyz", _WITHIN_S) is None
