"""The shortcut through a chunked body: the same bytes as http.client reads alone, however they arrive."""

import http.client
import io
import socket
from collections.abc import Callable
from itertools import accumulate
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.upstream.http_answer import ChunkedBody, chunked_body

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST = b"0\r\n\r\n"


class Pieces(io.RawIOBase):
    """A network that delivers one piece a read; it stands for the socket, too."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self.reads = 0

    def receive(self, at_most: int) -> bytes:
        """As `recv` of a socket."""
        buffer = bytearray(at_most)
        return bytes(buffer[: self.readinto(buffer)])

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._checkClosed()  # as a connection does
        self.reads += 1
        if not self._pieces:
            return 0
        piece = self._pieces.pop(0)
        taken = piece[: len(buffer)]
        if rest := piece[len(buffer) :]:
            self._pieces.insert(0, rest)
        buffer[: len(taken)] = taken
        return len(taken)


def opened(
    network: Pieces, receive: Callable[[int], bytes] | None = None
) -> tuple[http.client.HTTPResponse, ChunkedBody]:
    body = http.client.HTTPResponse(cast(socket.socket, network))
    body.begin()
    return body, ChunkedBody(body, body.fp, receive)


def read(body: http.client.HTTPResponse, shortcut: ChunkedBody) -> bytes:
    return shortcut.read_whole_chunks() or body.read1(65536)


def chunk(content: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(content), extension, content)


chunks = st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from([b"", b"", b";a=b", b" "]))


@given(st.lists(chunks, max_size=8), st.sampled_from([_LAST, b"0\r\nX-Trailer: y\r\n\r\n"]), st.booleans(), st.data())
def test_the_content_is_the_same_however_it_arrives(
    contents: list[tuple[bytes, bytes]], last: bytes, is_received: bool, data: st.DataObject
) -> None:
    """With cuts anywhere and between chunks, extensions and trailers; the body knows its end."""
    framed = [chunk(*each) for each in contents]
    stream = b"".join(framed) + last
    between = st.sampled_from([0, *accumulate(map(len, framed))])
    cuts = sorted(data.draw(st.lists(between | st.integers(0, len(stream)), max_size=16)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    network = Pieces([_HEAD, *pieces])
    body, shortcut = opened(network, network.receive if is_received else None)
    received = b""
    while some := read(body, shortcut):
        received += some
    assert received == b"".join(content for content, _ in contents)
    assert body.isclosed()
    assert read(body, shortcut) == b""


def test_all_chunks_that_arrived_are_one_read() -> None:
    """One read of the network, one of ours."""
    network = Pieces([_HEAD, chunk(b"a") + chunk(b"bc") + chunk(b"d") + b"5\r\nef", b"ghi\r\n" + _LAST])
    body, shortcut = opened(network)
    assert shortcut.read_whole_chunks() == b"abcd"
    assert network.reads == 2
    assert [read(body, shortcut) for _ in range(3)] == [b"ef", b"ghi", b""]


def test_after_a_read_that_took_all_the_next_bytes_are_received_past_the_buffer() -> None:
    """To ask a socket that has nothing costs as much as to read a token. What lies in a buffer is read there."""
    received: list[int] = []
    large = chunk(bytes(io.DEFAULT_BUFFER_SIZE))
    network = Pieces([_HEAD, chunk(b"a"), chunk(b"b"), chunk(b"c") + b"1\r\n", b"d\r\n" + large + _LAST])

    def receive(at_most: int) -> bytes:
        received.append(network.reads)
        return network.receive(at_most)

    body, shortcut = opened(network, receive)
    assert [read(body, shortcut) for _ in range(3)] == [b"a", b"b", b"c"]
    assert received == [2, 3]
    while read(body, shortcut):
        pass
    assert body.isclosed()
    assert received == [2, 3]


def test_a_body_of_which_several_chunks_are_cut_is_read_to_its_end() -> None:
    """Each cut puts what was received before what the connection brings, which stays open."""
    network = Pieces([_HEAD, chunk(b"a"), b"2\r\nb", b"c\r\n", chunk(b"d"), b"2\r\ne", b"f\r\n", chunk(b"g") + _LAST])
    body, shortcut = opened(network, network.receive)
    assert [read(body, shortcut) for _ in range(8)] == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b""]


@given(st.lists(st.integers(1, 9000), max_size=8), st.integers(1, 900), st.booleans())
def test_a_flood_is_the_same_bytes_with_the_larger_buffer_that_it_gets(
    cuts: list[int], size: int, is_received: bool
) -> None:
    """What fills the small buffer of a response is read into a larger one from then on, and nothing is lost between."""
    content = bytes(range(256)) * 80
    stream = b"".join(chunk(content[at : at + size]) for at in range(0, len(content), size)) + _LAST
    places = sorted(min(cut * 7, len(stream)) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    network = Pieces([_HEAD, *pieces])
    body, shortcut = opened(network, network.receive if is_received else None)
    received = b""
    while some := read(body, shortcut):
        received += some
    assert received == content
    assert body.isclosed()


def test_a_chunk_larger_than_the_buffer_is_read_by_http_client() -> None:
    """A chunk larger than the buffer is read by http.client, and arrives whole."""
    content = bytes(range(256)) * 256
    body, shortcut = opened(Pieces([_HEAD, chunk(b"a") + chunk(content) + _LAST]))
    assert b"".join(iter(lambda: read(body, shortcut), b"")) == b"a" + content


@pytest.mark.parametrize("rest", [b"", b"5\r\nab", b"5\r\nabcde", b"5", b"x\r\nabcde\r\n", b"-5\r\nab\r\n", b"5_0\r\n"])
def test_a_body_that_breaks_off_or_is_nonsense_is_for_http_client_to_refuse(rest: bytes) -> None:
    """What came whole before it counts; after that, the error is the library's own."""
    body, shortcut = opened(Pieces([_HEAD, chunk(b"whole") + rest]))
    assert read(body, shortcut) == b"whole"
    with pytest.raises(http.client.HTTPException):
        all(iter(lambda: read(body, shortcut), b""))


class Answer:
    """As much of urllib3's as is looked at."""

    def __init__(self, body: Any, headers: dict[str, str]) -> None:
        self._fp = body
        self.headers = headers


def test_other_bodies_have_no_shortcut() -> None:
    """Compressed ones are for urllib3, and those with a length have no chunks."""
    body, _ = opened(Pieces([_HEAD, _LAST]))
    assert chunked_body(Answer(body, {})) is not None
    assert chunked_body(Answer(body, {"content-encoding": "gzip"})) is None
    plain = http.client.HTTPResponse(cast(socket.socket, Pieces([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"])))
    plain.begin()
    assert chunked_body(Answer(plain, {})) is None
    assert chunked_body(Answer(object(), {})) is None
