"""A scrape: what a process tells Prometheus, read as Prometheus reads it."""

import re
import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """One exposition, parsed."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._values: dict[Sample, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """One sample's value; None when it is not there."""
        return self._values.get((name, frozenset(labels.items())))

    def total(self, name: str) -> float:
        """The sum over every label."""
        return sum(value for (found, _), value in self._values.items() if found == name)

    def label_values(self) -> set[str]:
        """Every value of every label."""
        return {value for _, labels in self._values for _, value in labels}


def scrape(log: str, timeout_s: float = 5.0) -> Scrape:
    """Scrape the process with this log, which says where its metrics are."""
    found = re.search(r"metrics\.listening address=(\S+)", log)
    assert found, log
    with urllib.request.urlopen(found[1], timeout=timeout_s) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return Scrape(answer.read().decode())


def lint(families: Mapping[str, str]) -> list[str]:
    """What `promtool check metrics` would find wrong with these families, name to help."""
    faults = []
    for name, documentation in families.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            faults.append(f"{name}: is not snake case")
        if not documentation:
            faults.append(f"{name}: has no help")
        if re.search(r"_(ms|milliseconds|kb|mb|minutes|hours)(_|$)", name):
            faults.append(f"{name}: is not in base units")
    return faults
