"""A relay as bad gateways are: it cuts every connection after a while, and gives out a page of its own now and then."""

import socket
import threading
from contextlib import suppress

from tests.relay import LoopbackRelay, forward, hang_up

_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html>\n</html"


class CuttingRelay(LoopbackRelay):
    """Every `bad_every`-th connection gets a 502."""

    def __init__(self, target_port: int, *, cuts_after_s: float, bad_every: int) -> None:
        super().__init__(target_port)
        self._cuts_after_s = cuts_after_s
        self._bad_every = bad_every
        self._connections = 0
        self._timers: list[threading.Timer] = []
        self.cuts = 0
        self.bad_gateways = 0

    def _close(self) -> None:
        for timer in list(self._timers):
            timer.cancel()
        super()._close()

    def _serve(self, client: socket.socket) -> None:
        self._connections += 1
        serve = self._refuse if self._connections % self._bad_every == 0 else self._relay
        threading.Thread(target=serve, args=(client,), daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        with suppress(OSError):
            client.recv(65536)
            self.bad_gateways += 1
            client.sendall(_BAD_GATEWAY)
        hang_up(client)

    def _relay(self, client: socket.socket) -> None:
        with suppress(OSError):
            server = self._connected()
            timer = threading.Timer(self._cuts_after_s, self._cut, (client, server))
            self._timers.append(timer)
            if self._is_closed:  # while the timer was made
                self._close()
                return
            timer.start()
            threading.Thread(target=forward, args=(client, server), daemon=True).start()
            forward(server, client)

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        self.cuts += 1
        hang_up(client)
        hang_up(server)
