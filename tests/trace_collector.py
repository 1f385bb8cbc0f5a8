"""A collector of traces on loopback: it takes what OpenTelemetry's exporters send over HTTP, and keeps the spans."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """One span, as it came."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    since_ns: int
    until_ns: int
    facts: dict[str, str | int]
    events: dict[str, int]
    is_error: bool


@dataclass
class Collector:
    """What has come so far, and where to send more."""

    url: str
    spans: list[Seen] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def take_in(self, body: bytes) -> None:
        self.bodies.append(body)
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {each.key: each.value.string_value for each in of_process.resource.attributes}
            for scope in of_process.scope_spans:
                for span in scope.spans:
                    values = {each.key: each.value for each in span.attributes}
                    facts = {key: value.string_value or value.int_value for key, value in values.items()}
                    self.spans.append(
                        Seen(
                            service=about["service.name"],
                            name=span.name,
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            since_ns=span.start_time_unix_nano,
                            until_ns=span.end_time_unix_nano,
                            facts=facts,
                            events={event.name: event.time_unix_nano for event in span.events},
                            is_error=span.status.code == span.status.STATUS_CODE_ERROR,
                        )
                    )


@contextmanager
def trace_collector() -> Iterator[Collector]:
    """A collector that accepts everything."""

    class Handler(BaseHTTPRequestHandler):
        """One batch."""

        def do_POST(self) -> None:
            collector.take_in(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
