"""The sweep's totals, as Prometheus counts them: every process takes its turn, so their sum is the deployment's."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from tokentail.jobs.sweep import SweepTotals


class SweepCollector(Collector):
    """Reads the totals when it is asked."""

    def __init__(self, totals: SweepTotals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[CounterMetricFamily]:
        jobs = CounterMetricFamily(
            "tokentail_swept_jobs",
            "Jobs that the sweep acted on: enqueued (it was in no queue), taken_back (its worker was lost), failed.",
            labels=["action"],
        )
        jobs.add_metric(["enqueued"], self._totals.enqueued)
        jobs.add_metric(["taken_back"], self._totals.taken_back)
        jobs.add_metric(["failed"], self._totals.failed)
        jobs.add_metric(["abandoned"], self._totals.abandoned)
        yield jobs
        yield CounterMetricFamily(
            "tokentail_workers_lost", "Workers that the sweep found dead.", self._totals.lost_workers
        )
