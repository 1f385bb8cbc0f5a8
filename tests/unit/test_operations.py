"""docs/operations.md names the metrics that there are, with their kinds and labels, and no others."""

import re
from pathlib import Path

import fakeredis
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from app.serving.metrics import DeploymentCollector, WebMetrics
from tokentail.config.settings import load_settings
from tokentail.jobs.sweep import SweepTotals
from tokentail.redis.backend import wire
from worker.metrics import WorkerMetrics

_DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
_ROW = re.compile(r"^\| `(tokentail_\w+)` \| (\w+)", re.MULTILINE)


def exposed() -> set[tuple[str, str]]:
    """Name and kind of every metric of ours."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    backend = wire(client, client, load_settings({}))
    web = WebMetrics(DeploymentCollector(backend, backend.observer, lambda: 0), SweepTotals())
    families = [*families_of(web.registry), *families_of(WorkerMetrics(1, SweepTotals()).registry)]
    client.close()
    return {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in families
        if family.name.startswith("tokentail_")
    }


def families_of(registry: CollectorRegistry) -> list[Metric]:
    return list(registry.collect())


def test_every_metric_is_documented_with_its_kind() -> None:
    """A document that is read by its tests cannot rot."""
    assert set(_ROW.findall(_DOCUMENT.read_text())) == exposed()


def test_alerts_are_on_metrics_that_there_are() -> None:
    """A misspelt alert never fires."""
    told = _DOCUMENT.read_text().partition("### Alerts")[2]
    named = set(re.findall(r"tokentail_\w+", told))
    assert named
    assert {name.removesuffix("_bucket") for name in named} <= {name for name, _ in exposed()}
