"""Framing and followers: pieces are whole however the bytes are split, and nothing is read twice."""

import pytest

from bench.framing import answers, events, frames, pong

_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"tokens":1}'
_EVENTS = b"HTTP/1.1 200 OK\r\n\r\n9\r\nid: a\n\n\r\nb\r\ndata: b\n\n"
_FRAMES = b"\x81\x02{}" + b"\x89\x00" + b"\x81\x7e\x00\x80" + b"x" * 128


@pytest.mark.parametrize(
    ("take", "received", "count"), [(answers, _ANSWER * 2, 2), (events, _EVENTS, 2), (frames, _FRAMES, 3)]
)
def test_pieces_are_whole_at_every_split(take, received: bytes, count: int) -> None:  # type: ignore[no-untyped-def]
    """Whatever a read brings, in the end each piece was taken once and nothing is left over."""
    whole, rest = take(received)
    assert (len(whole), rest) == (count, b"")
    for i in range(len(received)):
        first, kept = take(received[:i])
        second, kept = take(kept + received[i:])
        assert first + second == whole
        assert not kept


def test_a_pong_is_masked_as_a_clients_frames_are() -> None:
    """RFC 6455, 5.1: a server closes the connection of a client that does not mask."""
    frame = pong(b"hi")
    mask, masked = frame[2:6], frame[6:]
    assert frame[:2] == b"\x8a\x82"
    assert bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked)) == b"hi"
