"""The web process's metrics: its requests, its sweeps, and the state of the whole deployment.

Web processes and not workers count what the deployment has (jobs, queue, workers), because these numbers matter most
when no worker lives; several web processes report the same. No label contains a text that a client chose.
"""

import collections
import re
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.http.router import Kind, Router
from app.http.routes import ROUTER
from app.serving.static_files import STATIC_PATHS
from tokentail.config.key_ring import KeyRing
from tokentail.errors import StoreUnavailable, Unreadable
from tokentail.jobs.accounts import Account, Accounts, day_of
from tokentail.jobs.fleet import Observer
from tokentail.jobs.sweep import SweepTotals
from tokentail.redis.backend import Backend
from tokentail.telemetry.sweep_collector import SweepCollector

_REQUEST_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

_OTHER = "other"
_WAITS = re.compile(rb"(?:^|&)wait=(?!0*(?:\.0*)?(?:&|$))")


def route_of(path: str, router: Router = ROUTER) -> str:
    """The template of the path's route, one of few, whatever the path."""
    if path in STATIC_PATHS:
        return "/page/{name}" if path.startswith("/page/") else path
    found = router.find(path)
    return found.path if found else _OTHER


class WebMetrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self, deployment: Collector, totals: SweepTotals, router: Router = ROUTER) -> None:
        self._router = router
        self._methods = {*router.methods, "OPTIONS"}
        self._streams = {route.path for route in router.routes if route.kind in {Kind.STREAM, Kind.SOCKET}}
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
        # Finding a metric by its labels takes longer than counting, and there are few sets of labels.
        self._children: dict[tuple[str, str, int, bool], tuple[Counter, Histogram]] = {}
        self._waits = Gauge(
            "tokentail_http_waits", "Polls that wait for news, and open streams and sockets.", registry=registry
        )

    def watch(self, waits: Callable[[], int]) -> None:
        """Have `waits` return how many readers wait now."""
        self._waits.set_function(waits)

    def answered(self, scope: Any, status: int, took_s: float) -> None:
        """Count a request, by its ASGI scope, after its response. The scope may name the route, as quick polls do."""
        method = scope["method"] if scope["method"] in self._methods else _OTHER
        route = scope.get("route") or route_of(scope["path"], self._router)
        query = scope["query_string"]
        is_waiting = route in self._streams or (query.find(b"wait=") >= 0 and bool(_WAITS.search(query)))
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
    """Jobs, queue and workers, read for each scrape; nothing while Redis does not answer.

    The collector has a backend of its own with a short timeout, because a scraper does not wait long. `observer` is the
    process's.
    """

    def __init__(
        self, backend: Backend, observer: Observer, now_ms: Callable[[], int], keys: KeyRing | None = None
    ) -> None:
        self._keys = keys
        self._accounts = Accounts(backend.store)
        self._backend = backend
        self._observer = observer
        self._now_ms = now_ms

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            open_jobs = self._backend.admission.open_count()
            length = self._backend.queue.length()
            webhooks = self._backend.store.webhook_count()
            head_age_s = self._backend.head_age_s(self._now_ms()) or 0.0
            today = day_of(self._now_ms())
            accounts = self._accounts.of(today, today)
        except (StoreUnavailable, Unreadable):
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
        yield GaugeMetricFamily("tokentail_webhooks_due", "Ended jobs whose webhook some receiver lacks.", webhooks)
        yield GaugeMetricFamily("tokentail_workers", "Live workers.", len(leases))
        yield GaugeMetricFamily(
            "tokentail_slots", "Jobs that all live workers can hold.", sum(lease.slots for lease in leases)
        )
        yield from self._usage(accounts)

    def _usage(self, accounts: list[Account]) -> Iterator[GaugeMetricFamily]:
        """One label for each name of a key; all owners whose key was removed are one, jobs without a key another."""
        known = set(self._keys.owners()) if self._keys else set()
        requests, tokens = collections.Counter[str](), collections.Counter[str]()
        for account in accounts:
            owner = account.owner if account.owner in known else _OTHER if account.owner else "none"
            requests[owner] += account.counts["requests"]
            tokens[owner] += account.tokens
        for name, what, counted in (("requests", "Jobs submitted", requests), ("tokens", "Tokens counted", tokens)):
            family = GaugeMetricFamily(f"tokentail_{name}_today", f"{what} today (UTC), by owner.", labels=["owner"])
            for owner, count in sorted(counted.items()):
                family.add_metric([owner], count)
            yield family
