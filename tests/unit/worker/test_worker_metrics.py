"""The worker's metrics: each fact lands under the name and labels that operators know it by."""

import pytest
from prometheus_client import generate_latest

from tests.scrape import Scrape
from tokentail.jobs.sweep import SweepTotals
from worker.metrics import WorkerMetrics


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics(slots=200, totals=SweepTotals(enqueued=1, taken_back=2, failed=3, lost_workers=4))


def scraped(metrics: WorkerMetrics) -> Scrape:
    return Scrape(generate_latest(metrics.registry).decode())


@pytest.mark.parametrize(
    ("outcome", "status", "failure"),
    [("completed", "completed", ""), ("failed: rate_limited", "failed", "rate_limited")],
)
def test_an_end_is_counted_by_status_and_failure(
    metrics: WorkerMetrics, outcome: str, status: str, failure: str
) -> None:
    """As readers see them."""
    metrics.job_left("openai", outcome)
    seen = scraped(metrics)
    assert seen.value("tokentail_jobs_ended_total", provider="openai", status=status, failure=failure) == 1
    assert seen.total("tokentail_attempts_broken_off_total") == 0


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("lost", "lost"), ("closed", "closed"), ("handed over", "handed_over"), ("dropped", "dropped")],
)
def test_an_attempt_without_an_end_is_counted_by_its_reason(metrics: WorkerMetrics, outcome: str, reason: str) -> None:
    """The job may end elsewhere, so it is no end."""
    metrics.job_left("openai", outcome)
    seen = scraped(metrics)
    assert seen.value("tokentail_attempts_broken_off_total", provider="openai", reason=reason) == 1
    assert seen.total("tokentail_jobs_ended_total") == 0


def test_a_job_that_nobody_serves_has_a_provider_of_none(metrics: WorkerMetrics) -> None:
    """An empty label would be no label."""
    metrics.job_left("", "failed: rejected")
    seen = scraped(metrics)
    assert seen.value("tokentail_jobs_ended_total", provider="none", status="failed", failure="rejected") == 1


def test_calls_of_a_provider_go_up_and_down(metrics: WorkerMetrics) -> None:
    """Open streams are a gauge; first tokens, failures and retries are counted."""
    for _ in range(3):
        metrics.call_began("local")
    metrics.call_ended("local")
    metrics.first_token("local", 0.3)
    metrics.job_first_token("local", 3)
    metrics.call_failed("local", "overloaded")
    metrics.call_retried("local")
    seen = scraped(metrics)
    assert seen.value("tokentail_streams_open", provider="local") == 2
    assert seen.value("tokentail_first_token_seconds_bucket", provider="local", le="0.2") == 0
    assert seen.value("tokentail_first_token_seconds_bucket", provider="local", le="0.5") == 1
    assert seen.value("tokentail_job_first_token_seconds_sum", provider="local") == 3
    assert seen.value("tokentail_provider_failures_total", provider="local", failure="overloaded") == 1
    assert seen.value("tokentail_provider_retries_total", provider="local") == 1


def test_a_round_trip_is_counted_once(metrics: WorkerMetrics) -> None:
    """With its jobs, its elements and its duration."""
    metrics.committed(jobs=40, elements=100, took_s=0.003)
    metrics.committed(jobs=1, elements=0, took_s=0.001)
    metrics.commit_failed()
    seen = scraped(metrics)
    assert seen.value("tokentail_elements_appended_total") == 100
    assert seen.value("tokentail_commit_elements_sum") == 100
    assert seen.value("tokentail_commit_jobs_sum") == 41
    assert seen.value("tokentail_commit_seconds_sum") == pytest.approx(0.004)
    assert seen.value("tokentail_commit_seconds_count") == 2
    assert seen.value("tokentail_commit_failures_total") == 1


def test_the_sweep_and_the_slots_are_read_when_asked(metrics: WorkerMetrics) -> None:
    """The sweep's and the slots' numbers are read from their owners at each scrape."""
    held = {"": 0, "openai": 15, "demo": 2}
    metrics.watch_held(["openai", "demo"], held.__getitem__)
    seen = scraped(metrics)
    assert [
        seen.value("tokentail_swept_jobs_total", action=action) for action in ("enqueued", "taken_back", "failed")
    ] == [1, 2, 3]
    assert seen.value("tokentail_workers_lost_total") == 4
    assert seen.value("tokentail_worker_slots") == 200
    assert [seen.value("tokentail_worker_jobs", provider=name) for name in ("openai", "demo", "none")] == [15, 2, 0]
