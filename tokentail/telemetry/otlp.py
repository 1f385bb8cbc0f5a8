"""Traces over OTLP, by OpenTelemetry's SDK, which reads its own variables: address, headers, sampling, batches.

Needs the extra `tokentail-server[otel]`; only `tracing.py` imports this file. A thread of the SDK sends the spans from
a bounded queue: a collector that is away costs spans and nothing else.
"""

import os

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tokentail.telemetry.spans import Kind, Span

_KINDS = {
    "server": SpanKind.SERVER,
    "internal": SpanKind.INTERNAL,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
}
_propagator = TraceContextTextMapPropagator()


class _OtlpSpan:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, set_span_in_context(span))
        self.traceparent = carrier.get("traceparent", "")

    def note(self, event: str) -> None:
        self._span.add_event(event)

    def end(self, fault: str = "", **facts: str | int) -> None:
        if not self._span.is_recording():
            return
        self._span.set_attributes(_named(facts))
        if fault:
            self._span.set_attribute("error.type", fault)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class OtlpTracing:
    """Spans for one process."""

    def __init__(self, service: str) -> None:
        names = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
        self._provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("tokentail")

    def begin(self, name: str, kind: Kind, parent: str, since_ms: int | None = None, **facts: str | int) -> Span:
        context = _propagator.extract({"traceparent": parent})
        since_ns = None if since_ms is None else since_ms * 1_000_000
        span = self._tracer.start_span(name, context, _KINDS[kind], _named(facts), start_time=since_ns)
        return _OtlpSpan(span)

    def stop(self) -> None:
        self._provider.shutdown()


def _named(facts: dict[str, str | int]) -> dict[str, str | int]:
    """Facts as attributes: `gen_ai__request__model` is OpenTelemetry's own name, others are ours."""
    return {name.replace("__", ".") if "__" in name else f"tokentail.{name}": value for name, value in facts.items()}
