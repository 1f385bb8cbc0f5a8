"""Traces: what one request passed through, from its submission to its end, for a collector of OpenTelemetry.

Without an address in OTEL_EXPORTER_OTLP_ENDPOINT this imports nothing of OpenTelemetry, and nothing is traced.
"""

import logging
from collections.abc import Mapping

from tokentail.telemetry.spans import NoTracing, Tracing

log = logging.getLogger(__name__)

_ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


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
