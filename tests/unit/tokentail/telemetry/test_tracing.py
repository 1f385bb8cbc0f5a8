"""Tracing is off unless OpenTelemetry's variables ask for it, and costs no import then."""

import subprocess
import sys

import pytest

from tokentail.telemetry.spans import NO_SPAN, NoTracing
from tokentail.telemetry.tracing import open_tracing

_ADDRESS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**_ADDRESS, "OTEL_SDK_DISABLED": "true"},
        {**_ADDRESS, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    """A span that is not traced has no name to pass on."""
    tracing = open_tracing(environment, "tokentail-web")
    assert isinstance(tracing, NoTracing)
    assert tracing.begin("submit", "server", "00-x") is NO_SPAN
    assert NO_SPAN.traceparent == ""


@pytest.mark.parametrize("program", ["app.__main__", "worker.main"])
def test_without_an_address_no_spans_and_no_exporter_are_imported(program: str) -> None:
    """What is not wanted takes no memory and no time. (redis-py imports the SDK's metrics wherever it finds them.)"""
    check = f"import sys, {program}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True)
    unwanted = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "tokentail.telemetry.otlp")
    assert [name for name in ran.stdout.split() if name.startswith(unwanted)] == []


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_an_address_without_the_extra_is_a_warning(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Many machines set the address for all programs; ours still starts, and says what to install."""
    for name in [each for each in sys.modules if each.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "tokentail.telemetry.otlp", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    assert isinstance(open_tracing(_ADDRESS, "tokentail-web"), NoTracing)
    assert [(record.getMessage(), record.install) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("tracing.not_installed", "tokentail-server[otel]")
    ]
