"""A relay in front of a Redis, which counts round trips."""

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.relay import hang_up


class CountingRelay:
    """Passes everything on. What a client sends before the next reply is one round trip, on each connection."""

    def __init__(self, url: str) -> None:
        """`url` is `unix://path` or `redis://address:port`."""
        self._target = urlsplit(url)
        self._folder = tempfile.TemporaryDirectory(prefix="tt-", dir="/tmp")
        self._listener = socket.socket(socket.AF_UNIX)
        self._sockets = [self._listener]
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._is_closed = False
        self.round_trips = 0

    @property
    def url(self) -> str:
        return f"unix://{Path(self._folder.name) / 'r.sock'}"

    def __enter__(self) -> Self:
        self._listener.bind(self.url.removeprefix("unix://"))
        self._listener.listen(64)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        hang_up(self._listener)  # which ends the thread that accepts
        self._accepting.join(10)
        for each in self._sockets:
            hang_up(each)
            each.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._is_closed:
                client, _ = self._listener.accept()
                server = self._connect()
                self._sockets += [client, server]
                is_asking = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, is_asking), daemon=True).start()
                threading.Thread(target=self._reply, args=(server, client, is_asking), daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._target.hostname:
            return socket.create_connection((self._target.hostname, self._target.port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target.path)
        return server

    def _ask(self, client: socket.socket, server: socket.socket, is_asking: threading.Event) -> None:
        with suppress(OSError):
            while received := client.recv(1 << 20):
                with self._lock:
                    self.round_trips += not is_asking.is_set()
                is_asking.set()
                server.sendall(received)
        hang_up(server)

    def _reply(self, server: socket.socket, client: socket.socket, is_asking: threading.Event) -> None:
        with suppress(OSError):
            while received := server.recv(1 << 20):
                is_asking.clear()
                client.sendall(received)
        hang_up(client)
