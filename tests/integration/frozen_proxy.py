"""A TCP proxy whose connections can be frozen, open as far as anybody can tell but nothing comes through; or cut."""

import socket
import threading
from contextlib import suppress


class FrozenProxy:
    """Forwards to a unix socket from a port of its own."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._frozen: set[socket.socket] = set()
        self._pieces_left = -1
        self.refusals_left = 0
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Let nothing more through on the connections that there are; new ones work."""
        self._frozen.update(self._sockets)

    def cut_after(self, pieces: int) -> None:
        """Let so many more pieces through, in whatever direction; then end the connections that there are."""
        self._pieces_left = pieces

    def refuse(self, connections: int) -> None:
        """End the connections that there are, and each of so many new ones as soon as it is made."""
        self.refusals_left = connections
        self._cut()

    def close(self) -> None:
        self._is_closed = True
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refusals_left:
                    self.refusals_left -= 1
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                if self._is_closed:  # while this connection came
                    self.close()
                    return
                server.connect(self._target)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while received := source.recv(65536):
                if source not in self._frozen:
                    sink.sendall(received)
                self._pieces_left -= 1
                if self._pieces_left == 0:
                    self._cut()
            sink.shutdown(socket.SHUT_WR)

    def _cut(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
