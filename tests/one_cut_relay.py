"""A relay that cuts one connection in mid-answer, and counts the requests and the jobs that it sees."""

import re
import socket
import threading
from contextlib import suppress

from tests.relay import LoopbackRelay, hang_up

_REQUEST = re.compile(rb"(?:GET|POST|HEAD) /")
_JOB = re.compile(rb"^tokentail-job: *(\w+)", re.IGNORECASE | re.MULTILINE)


class OneCutRelay(LoopbackRelay):
    """Ends one connection: the first whose answer has `marker`, and that many bytes behind it."""

    def __init__(self, target_port: int, marker: bytes, more: int) -> None:
        super().__init__(target_port)
        self._marker = marker
        self._more = more
        self.cuts = 0
        self.requests = 0
        self.jobs: set[str] = set()

    def _serve(self, client: socket.socket) -> None:
        threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with suppress(OSError):
            server = self._connected()
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            self._answer(server, client)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while received := client.recv(65536):
                self.requests += bool(_REQUEST.match(received))
                server.sendall(received)
        hang_up(server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        seen = b""
        with suppress(OSError):
            while received := server.recv(65536):
                self.jobs.update(job.decode() for job in _JOB.findall(received))
                passed, seen = len(seen), seen + received
                end = seen.find(self._marker) + len(self._marker) + self._more
                if not self.cuts and self._marker in seen and len(seen) >= end:
                    self.cuts += 1
                    client.sendall(seen[passed:end])
                    break
                client.sendall(received)
        hang_up(client)
        hang_up(server)
