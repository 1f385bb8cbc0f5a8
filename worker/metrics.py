"""The worker's metrics: the runner's and the group commit's facts, as Prometheus counts them.

Each process has its own; the web processes have those of the whole deployment.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial

import gevent
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from tokentail.jobs.sweep import SweepTotals
from tokentail.telemetry.sweep_collector import SweepCollector

_FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)
_JOB_FIRST_TOKEN_S = (*_FIRST_TOKEN_S, 300, 600)
_COMMIT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)
_COMMIT_ELEMENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_COMMIT_JOBS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_LAG_EVERY_S = 0.05  # so that one greenlet that keeps the loop for that long is seen


class WorkerMetrics:
    """The Meters of one worker process, in a registry of their own."""

    def __init__(self, slots: int, totals: SweepTotals) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(SweepCollector(totals))
        of_provider = ["provider"]
        Gauge("tokentail_worker_slots", "Jobs that this worker can hold at once.", registry=registry).set(slots)
        self._held = Gauge("tokentail_worker_jobs", "Jobs that this worker holds now.", of_provider, registry=registry)
        self._ended = Counter(
            "tokentail_jobs_ended",
            "Jobs that this worker saw to their end; failure is the error's type, empty for a completed job.",
            ["provider", "status", "failure"],
            registry=registry,
        )
        self._broken_off = Counter(
            "tokentail_attempts_broken_off",
            "Attempts of this worker that did not end their job: closed (by a client), lost, handed_over, dropped.",
            ["provider", "reason"],
            registry=registry,
        )
        self._streams = Gauge("tokentail_streams_open", "Calls of providers under way.", of_provider, registry=registry)
        self._first_token = Histogram(
            "tokentail_first_token_seconds",
            "From a provider's call to its first content.",
            of_provider,
            buckets=_FIRST_TOKEN_S,
            registry=registry,
        )
        self._job_first_token = Histogram(
            "tokentail_job_first_token_seconds",
            "From a job's submission to its first content: with its time in the queue and calls that failed.",
            of_provider,
            buckets=_JOB_FIRST_TOKEN_S,
            registry=registry,
        )
        self._failures = Counter(
            "tokentail_provider_failures",
            "Calls that gave no answer, or a part of one, by the error's type; those retried later, too.",
            ["provider", "failure"],
            registry=registry,
        )
        self._retries = Counter(
            "tokentail_provider_retries", "Failed calls that were followed by another.", of_provider, registry=registry
        )
        self._elements = Counter(
            "tokentail_elements_appended",
            "Elements (tokens, and a few events for each job) that the store has taken.",
            registry=registry,
        )
        self._commit_elements = Histogram(
            "tokentail_commit_elements",
            "New elements in one round trip to the store.",
            buckets=_COMMIT_ELEMENTS,
            registry=registry,
        )
        self._commit_jobs = Histogram(
            "tokentail_commit_jobs", "Jobs in one round trip to the store.", buckets=_COMMIT_JOBS, registry=registry
        )
        self._commit_s = Histogram(
            "tokentail_commit_seconds", "Duration of a round trip to the store.", buckets=_COMMIT_S, registry=registry
        )
        self._commit_failures = Counter(
            "tokentail_commit_failures", "Round trips that the store did not answer.", registry=registry
        )
        self._webhooks = Counter(
            "tokentail_webhooks_tried",
            "Tries of webhooks: delivered (all receivers have it), failed (it is tried again), given_up.",
            ["outcome"],
            registry=registry,
        )
        self._lag = Histogram(
            "tokentail_loop_lag_seconds",
            "How late the event loop woke a greenlet that slept 50 ms.",
            buckets=_LAG_S,
            registry=registry,
        )

    def watch_held(self, providers: Iterable[str], held: Callable[[str], int]) -> None:
        """Ask `held`, at each scrape, how many jobs this worker holds for each of the providers, and for none ("")."""
        for provider in ("", *providers):
            self._held.labels(provider or "none").set_function(partial(held, provider))

    def webhook_tried(self, outcome: str) -> None:
        """A try of a webhook is over; `outcome` is the deliverer's word."""
        self._webhooks.labels(outcome).inc()

    def watch_loop(self) -> None:
        """Measure the event loop for as long as the process lives; run it in a greenlet of its own."""
        while True:
            began = time.monotonic()
            gevent.sleep(_LAG_EVERY_S)
            self._lag.observe(max(time.monotonic() - began - _LAG_EVERY_S, 0))

    # -- Meters -------------------------------------------------------------------------------------------------------

    def job_left(self, provider: str, outcome: str) -> None:
        word, _, failure = outcome.partition(": ")
        if word in {"completed", "failed"}:
            self._ended.labels(provider or "none", word, failure).inc()
        else:
            self._broken_off.labels(provider or "none", word.replace(" ", "_")).inc()

    def call_began(self, provider: str) -> None:
        self._streams.labels(provider).inc()

    def call_ended(self, provider: str) -> None:
        self._streams.labels(provider).dec()

    def first_token(self, provider: str, after_s: float) -> None:
        self._first_token.labels(provider).observe(after_s)

    def job_first_token(self, provider: str, after_s: float) -> None:
        self._job_first_token.labels(provider).observe(after_s)

    def call_failed(self, provider: str, kind: str) -> None:
        self._failures.labels(provider, kind).inc()

    def call_retried(self, provider: str) -> None:
        self._retries.labels(provider).inc()

    def committed(self, jobs: int, elements: int, took_s: float) -> None:
        self._elements.inc(elements)
        self._commit_elements.observe(elements)
        self._commit_jobs.observe(jobs)
        self._commit_s.observe(took_s)

    def commit_failed(self) -> None:
        self._commit_failures.inc()
