"""A receiver of webhooks on loopback, which answers as a test says, or not at all."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HANG = 0  # in the place of a status: no answer comes until the receiver is closed
SECRET = "whsec_" + "c2VjcmV0" * 4


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """What has come so far, and where to send more."""

    url: str
    received: list[Received] = field(default_factory=list)


@contextmanager
def webhook_receiver(*statuses: int, tls: ssl.SSLContext | None = None, location: str = "") -> Iterator[Receiver]:
    """A receiver that answers with these statuses, and with the last of them from then on; redirects to `location`."""
    closing = threading.Event()
    turn = threading.Lock()
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        """One webhook."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with turn:
                receiver.received.append(
                    Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
                status = left.pop(0) if len(left) > 1 else left[0]
            if status == HANG:
                closing.wait()
                return
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme = "http"
    if tls is not None:
        scheme, server.socket = "https", tls.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
