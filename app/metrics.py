"""The web process's metrics: its requests, its sweeps, and how the whole deployment stands.

What is true of all (jobs, queue, workers) is told here and not by workers, because it must be seen most when no worker
lives; several web processes tell the same. No label holds anything that a client chose.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.static_files import STATIC_PATHS
from tokentail.backend import Backend
from tokentail.errors import StoreUnavailable
from tokentail.fleet import Observer
from tokentail.metrics.sweep_collector import SweepCollector
from tokentail.sweep import SweepTotals

_REQUEST_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_PLAIN = frozenset(
    {
        "/v1/jobs",
        "/v1/poll",
        "/v1/models",
        "/v1/overview",
        "/v1/session",
        "/stream",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
    }
)
_OF_JOB = re.compile(r"/v1/jobs/[^/]+(|/tokens|/events|/text|/stream|/ws|/share|/cancel)")
_OTHER = "other"
_STREAMS = ("/stream", "/ws")
_WAITS = re.compile(rb"(?:^|&)wait=(?!0*(?:\.0*)?(?:&|$))")


def route_of(path: str) -> str:
    """The route's template, one of a dozen, whatever the path."""
    if path in _PLAIN or path in STATIC_PATHS:
        return "/page/{name}" if path.startswith("/page/") else path
    if match := _OF_JOB.fullmatch(path):
        return f"/v1/jobs/{{job_id}}{match[1]}"
    return "/docs/{name}" if path.startswith("/docs/") else _OTHER


class WebMetrics:
    """One process's, in a registry of their own."""

    def __init__(self, deployment: Collector, totals: SweepTotals) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(SweepCollector(totals))
        registry.register(deployment)
        self._requests = Counter(
            "tokentail_http_requests",
            "Requests, by route and status; 499: the client left, 0: the answer failed.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "tokentail_http_request_seconds",
            "From a request's head to the end of its answer; waits: by its query it was ready to wait.",
            ["method", "route", "waits"],
            buckets=_REQUEST_S,
            registry=registry,
        )
        # Finding a metric by its labels takes longer than counting; there are few, and polls are many.
        self._children: dict[tuple[str, str, int, bool], tuple[Counter, Histogram]] = {}
        self._waits = Gauge(
            "tokentail_http_waits", "Polls that wait for news, and open streams and sockets.", registry=registry
        )

    def watch(self, waits: Callable[[], int]) -> None:
        """`waits` says how many readers wait now."""
        self._waits.set_function(waits)

    def answered(self, scope: Any, status: int, took_s: float) -> None:
        """A request, by its ASGI scope, has had its answer."""
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        route = route_of(scope["path"])
        is_waiting = route.endswith(_STREAMS) or bool(_WAITS.search(scope["query_string"]))
        key = method, route, status, is_waiting
        counted = self._children.get(key)
        if counted is None:
            counted = self._children[key] = self._labelled(*key)
        requests, seconds = counted
        requests.inc()
        seconds.observe(took_s)

    def _labelled(self, method: str, route: str, status: int, is_waiting: bool) -> tuple[Counter, Histogram]:
        waits = "true" if is_waiting else "false"
        return self._requests.labels(method, route, status), self._seconds.labels(method, route, waits)


class DeploymentCollector(Collector):
    """Jobs, queue and workers, read when somebody asks; nothing while Redis does not answer.

    Its backend is of its own, with a short timeout: a scraper does not wait long. `observer` is the process's.
    """

    def __init__(self, backend: Backend, observer: Observer, now_ms: Callable[[], int]) -> None:
        self._backend = backend
        self._observer = observer
        self._now_ms = now_ms

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            open_jobs = self._backend.admission.open_count()
            length = self._backend.queue.length()
            head_age_s = self._backend.head_age_s(self._now_ms()) or 0.0
        except StoreUnavailable:
            return
        leases = self._observer.live.values()
        running = sum(len(lease.attempts) for lease in leases)
        jobs = GaugeMetricFamily("tokentail_jobs", "Open jobs; queued are also those held back.", labels=["state"])
        jobs.add_metric(["queued"], max(open_jobs - running, 0))
        jobs.add_metric(["running"], running)
        yield jobs
        yield GaugeMetricFamily("tokentail_queue_length", "Jobs in the queue, of which any slot takes one.", length)
        yield GaugeMetricFamily(
            "tokentail_queue_head_age_seconds", "How long the next job in the queue has waited; 0: none.", head_age_s
        )
        yield GaugeMetricFamily("tokentail_workers", "Live workers.", len(leases))
        yield GaugeMetricFamily(
            "tokentail_slots", "Jobs that all live workers can hold.", sum(lease.slots for lease in leases)
        )
