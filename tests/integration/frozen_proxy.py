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
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Let nothing more through on the connections that there are; new ones work."""
        self._frozen.update(self._sockets)

    def cut_after(self, pieces: int) -> None:
        """Let so many more pieces through, in whatever direction; then end the connections that there are."""
        self._pieces_left = pieces

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while received := source.recv(65536):
                if source not in self._frozen:
                    sink.sendall(received)
                self._pieces_left -= 1
                if self._pieces_left == 0:
                    for each in self._sockets:
                        with suppress(OSError):
                            each.shutdown(socket.SHUT_RDWR)
            sink.shutdown(socket.SHUT_WR)
