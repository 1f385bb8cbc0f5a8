"""A relay in front of a web process: it counts connections, and can lose an answer that was given."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class LoopbackRelay:
    """Forwards to a port of loopback from a port of its own; what becomes of a connection is for its subclasses."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self._is_closed = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        for each in list(self._sockets):
            hang_up(each)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        """Take a connection, without waiting."""
        raise NotImplementedError

    def _connected(self) -> socket.socket:
        """A connection to the target. Raises OSError where the relay was closed in the meantime."""
        server = socket.create_connection(("127.0.0.1", self._target_port))
        self._sockets.append(server)
        if self._is_closed:
            self._close()
            raise ConnectionAbortedError
        return server


class Relay(LoopbackRelay):
    """`loses_answers`: it hangs up at an answer's first byte."""

    def __init__(self, target_port: int, *, loses_answers: bool = False) -> None:
        super().__init__(target_port)
        self._loses_answers = loses_answers
        self.connections = 0
        self.lost_answers = 0

    def cut(self) -> None:
        """Hang up on every connection that there is."""
        for each in self._sockets[1:]:
            hang_up(each)

    def _serve(self, client: socket.socket) -> None:
        server = self._connected()
        self.connections += 1
        threading.Thread(target=forward, args=(client, server), daemon=True).start()
        answers = self._lose if self._loses_answers else forward
        threading.Thread(target=answers, args=(server, client), daemon=True).start()

    def _lose(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            self.lost_answers += source.recv(65536) != b""
        hang_up(sink)
        hang_up(source)


def forward(source: socket.socket, sink: socket.socket) -> None:
    """Pass on all that comes, and hang up on both sides at its end."""
    with suppress(OSError):
        while received := source.recv(65536):
            sink.sendall(received)
    hang_up(sink)
    hang_up(source)


def hang_up(each: socket.socket) -> None:
    """End it in both directions; closing alone would wake nobody who reads."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
