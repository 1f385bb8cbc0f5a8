"""Traces: what one request passed through, from its submission to its end, for a collector of OpenTelemetry.

A span has names, times and counts; never a prompt, a text, a key or a client's own words. Without an address in
OTEL_EXPORTER_OTLP_ENDPOINT this imports nothing of OpenTelemetry, and every call here does nothing.
"""

import logging
from collections.abc import Mapping
from typing import Literal, Protocol

log = logging.getLogger(__name__)

Kind = Literal["server", "internal", "consumer", "client"]
_ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Span(Protocol):
    """One piece of work under way."""

    traceparent: str  # W3C Trace Context, for what this work causes; "" when nothing is traced

    def note(self, event: str) -> None:
        """Something happened now."""
        ...

    def end(self, fault: str = "", **facts: str | int) -> None:
        """The work is over; `fault` is the kind of what went wrong, never its text. Only the first call counts."""
        ...


class Tracing(Protocol):
    """Where spans are begun."""

    def begin(self, name: str, kind: Kind, parent: str, since_ms: int | None = None, **facts: str | int) -> Span:
        """A span that begins now or began at `since_ms`; `parent` is a `traceparent`, and may be garbage or ""."""
        ...

    def stop(self) -> None:
        """Send what was not sent yet."""
        ...


class _NoSpan:
    traceparent = ""

    def note(self, event: str) -> None: ...
    def end(self, fault: str = "", **facts: str | int) -> None: ...


NO_SPAN: Span = _NoSpan()


class NoTracing:
    """Traces nothing."""

    def begin(self, name: str, kind: Kind, parent: str, since_ms: int | None = None, **facts: str | int) -> Span:
        return NO_SPAN

    def stop(self) -> None: ...


def open_tracing(environment: Mapping[str, str], service: str) -> Tracing:
    """What OpenTelemetry's own variables ask for, for a process that is `service` unless OTEL_SERVICE_NAME is set."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if is_off or environment.get("OTEL_TRACES_EXPORTER") == "none" or not any(map(environment.get, _ADDRESSES)):
        return NoTracing()
    try:
        from tokentail.telemetry.otlp import OtlpTracing  # noqa: PLC0415 - only where it is wanted
    except ImportError:
        log.warning("tracing.not_installed", extra={"install": "tokentail-server[otel]"})
        return NoTracing()
    return OtlpTracing(service)
