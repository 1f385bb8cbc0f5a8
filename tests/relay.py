"""A relay in front of a web process: it counts connections, and can lose an answer that was given."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Relay:
    """Forwards to a port of loopback from a port of its own. `loses_answers`: it hangs up at an answer's first byte."""

    def __init__(self, target_port: int, *, loses_answers: bool = False) -> None:
        self._target_port = target_port
        self._loses_answers = loses_answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.lost_answers = 0
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
            _hang_up(each)
            each.close()

    def cut(self) -> None:
        """Hang up on every connection that there is."""
        for each in self._sockets[1:]:
            _hang_up(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                server = socket.create_connection(("127.0.0.1", self._target_port))
                self._sockets.append(server)
                if self._is_closed:  # while this connection came
                    self._close()
                    return
                self.connections += 1
                for direction in ((client, server, False), (server, client, self._loses_answers)):
                    threading.Thread(target=self._forward, args=direction, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, is_lossy: bool) -> None:
        with suppress(OSError):
            while received := source.recv(65536):
                if is_lossy:
                    self.lost_answers += 1
                    break
                sink.sendall(received)
        _hang_up(sink)
        _hang_up(source)


def _hang_up(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
