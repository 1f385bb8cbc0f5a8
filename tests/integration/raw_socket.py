"""A WebSocket spoken byte by byte, for clients that no library would be."""

import base64
import os
import socket
import struct
from types import TracebackType
from typing import Self

TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True, is_masked: bool = True) -> bytes:
    """A client's frame; its mask is zero."""
    masked, size = 0x80 * is_masked, len(payload)
    head = bytes([0x80 * is_last | opcode])
    head += bytes([masked | size]) if size < 126 else bytes([masked | 126]) + struct.pack("!H", size)
    return head + bytes(4 * is_masked) + payload


class RawSocket:
    """One connection, its handshake sent."""

    def __init__(self, port: int, path: str, *more: str, read_buffer: int = 0, version: int = 13) -> None:
        self._socket = socket.socket()
        if read_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
        self._socket.settimeout(20)
        self._socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}")
        lines = (f"GET {path} HTTP/1.1", "Host: localhost", *upgrade, f"Sec-WebSocket-Version: {version}", *more)
        self.send("\r\n".join((*lines, "", "")).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def head(self) -> bytes:
        """The answer's head."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            assert byte, head
            head += byte
        return head

    def received(self, size: int) -> bytes:
        """The next bytes."""
        content = b""
        while len(content) < size and (part := self._socket.recv(size - len(content))):
            content += part
        return content

    def next_frame(self) -> tuple[int, bytes]:
        """The server's next frame."""
        opcode, size = self.received(2)
        assert opcode & 0x80, "the server sends whole messages"
        if size == 126:
            size = struct.unpack("!H", self.received(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.received(8))[0]
        return opcode & 0x0F, self.received(size)

    def closing(self) -> tuple[int, str]:
        """Code and reason of the close frame, past all others."""
        opcode, payload = self.next_frame()
        while opcode != CLOSE:
            opcode, payload = self.next_frame()
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        content = b""
        try:
            while part := self._socket.recv(65536):
                content += part
        except ConnectionResetError:
            pass
        return content
