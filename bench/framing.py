"""The framing: where an answer, an event or a frame ends in what a connection has received. Pure.

Each of these takes bytes and gives the whole pieces in them and what is left over; none decodes what is in a piece.
"""

import os
import struct

from bench.http_connection import answer_length

Pieces = tuple[list[bytes], bytes]

WS_HANDSHAKE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
PING, CLOSE, _PONG = 0x9, 0x8, 0xA


def answers(received: bytes) -> Pieces:
    """HTTP answers with a Content-Length."""
    found = []
    while received and (length := answer_length(received)) is not None and len(received) >= length:
        found.append(received[:length])
        received = received[length:]
    return found, received


def events(received: bytes) -> Pieces:
    """Server-sent events, each with what HTTP puts before it: heads and the lengths of chunks are not taken away."""
    *found, rest = received.split(b"\n\n")
    return found, rest


def frames(received: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """WebSocket frames of a server: opcode and payload."""
    found = []
    while len(received) >= 2:
        size, begin = received[1] & 0x7F, 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            if len(received) < begin:
                break
            (size,) = struct.unpack(">H" if size == 126 else ">Q", received[2:begin])
        if len(received) < begin + size:
            break
        found.append((received[0] & 0x0F, received[begin : begin + size]))
        received = received[begin + size :]
    return found, received


def pong(payload: bytes) -> bytes:
    """A client's answer to a ping of up to 125 bytes."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([0x80 | _PONG, 0x80 | len(payload)]) + mask + masked
