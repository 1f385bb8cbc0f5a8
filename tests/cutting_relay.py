"""A relay as bad gateways are: it cuts every connection after a while, and gives out a page of its own now and then."""

import itertools
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html>\n</html"


class CuttingRelay:
    """Forwards to a port of loopback from one of its own. Every `bad_every`-th connection gets a 502."""

    def __init__(self, target_port: int, *, cuts_after_s: float, bad_every: int) -> None:
        self._target_port = target_port
        self._cuts_after_s = cuts_after_s
        self._bad_every = bad_every
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._timers: list[threading.Timer] = []
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.bad_gateways = 0
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
        for timer in list(self._timers):
            timer.cancel()
        for each in list(self._sockets):
            hang_up(each)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            for number in itertools.count(1):
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._is_closed:
                    self._close()
                    return
                serve = self._refuse if number % self._bad_every == 0 else self._relay
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        with suppress(OSError):
            client.recv(65536)
            self.bad_gateways += 1
            client.sendall(_BAD_GATEWAY)
        hang_up(client)

    def _relay(self, client: socket.socket) -> None:
        with suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets.append(server)
            timer = threading.Timer(self._cuts_after_s, self._cut, (client, server))
            self._timers.append(timer)
            if self._is_closed:  # while this connection came
                self._close()
                return
            timer.start()
            threading.Thread(target=_forward, args=(client, server), daemon=True).start()
            _forward(server, client)

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        self.cuts += 1
        hang_up(client)
        hang_up(server)


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            sink.sendall(received)
    hang_up(sink)
    hang_up(source)


def hang_up(each: socket.socket) -> None:
    """End it in both directions; closing alone would wake nobody who reads."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
