"""The exposition: a process's metrics over HTTP, at an address of their own and never the public one.

It knows no metric. Prometheus's client library is imported in this package, in `app/serving/metrics.py` and in
`worker/metrics.py` alone. In the worker, whose threads are greenlets, it takes no thread.
"""

import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from tokentail.config.address import Address, address_of

log = logging.getLogger(__name__)

_PATH = "/metrics"
_CLIENT_S = 10.0  # for a scraper to send its request


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # The scraper left, or a collector has a fault: the next scrape may do better.
        log.warning("metrics.scrape_failed", extra={"error": type(sys.exception()).__name__})


class Exposition:
    """Serves one registry. Raises OSError when the address is not to be had."""

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self._server = _Server((address.host, address.port), _handler(registry), bind_and_activate=False)
        # Made by us: the server's own would look up the host's name, and know no IPv6.
        self._server.socket.close()
        self._server.socket = address.listen()
        self.address = address_of(self._server.socket)

    def start(self) -> None:
        """Answer until `stop`, or until the process ends, which it does not hold up."""
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Stop answering, once started."""
        self._server.shutdown()
        self._server.server_close()


def expose(address: Address, registry: CollectorRegistry) -> Exposition:
    """Serve the registry for as long as the process lives. Raises OSError when the address is not to be had."""
    exposition = Exposition(address, registry)
    exposition.start()
    log.info("metrics.listening", extra={"address": f"http://{exposition.address}{_PATH}"})
    return exposition


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One scrape."""

        timeout = _CLIENT_S
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "tokentail", ""

        def do_GET(self) -> None:
            if urlsplit(self.path).path == _PATH:
                self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))
            else:
                self._answer(404, "text/plain", f"The metrics are at {_PATH}.\n".encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing: scrapes are not worth a line."""

    return Handler
