"""The exposition: metrics at one path of one address; what goes wrong with a scrape is a line in the log."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tests.scrape import Scrape
from tests.waiting import eventually
from tokentail.config.address import Address
from tokentail.telemetry.exposition import Exposition

Expose = Callable[..., Exposition]


@pytest.fixture
def expose() -> Iterator[Expose]:
    """Serves a registry, at a free port of a host, until the test ends."""
    started: list[Exposition] = []

    def start(registry: CollectorRegistry, host: str = "127.0.0.1") -> Exposition:
        started.append(Exposition(Address(host, 0), registry))
        started[-1].start()
        return started[-1]

    yield start
    for exposition in started:
        exposition.stop()


def get(exposition: Exposition, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://{exposition.address}{path}", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_registry_is_served(expose: Expose, host: str) -> None:
    """As it is at the moment of the scrape."""
    registry = CollectorRegistry()
    counter = Counter("tokentail_tests", "Tests.", registry=registry)
    exposition = expose(registry, host)
    counter.inc(3)
    assert Scrape(get(exposition)).value("tokentail_tests_total") == 3
    counter.inc()
    assert Scrape(get(exposition)).value("tokentail_tests_total") == 4


def test_there_is_nothing_else(expose: Expose) -> None:
    """Any other path is 404, and no header names the server's software."""
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        get(expose(CollectorRegistry()), "/")
    assert "Python" not in str(refused.value.headers)
    refused.value.close()


def test_a_scrape_that_fails_is_one_line_in_the_log(expose: Expose, caplog: pytest.LogCaptureFixture) -> None:
    """The process goes on, and so does the exposition."""

    class Faulty(Collector):
        def __init__(self) -> None:
            self.is_faulty = False

        def collect(self) -> Iterator[GaugeMetricFamily]:
            if self.is_faulty:
                raise ZeroDivisionError
            yield GaugeMetricFamily("tokentail_well", "All is well.", 1)

    registry, faulty = CollectorRegistry(), Faulty()
    registry.register(faulty)
    exposition = expose(registry)
    faulty.is_faulty = True
    with pytest.raises(OSError, match=r".+"):
        get(exposition)
    eventually(lambda: caplog.messages == ["metrics.scrape_failed"], what="it is logged")
    faulty.is_faulty = False
    assert Scrape(get(exposition)).value("tokentail_well") == 1
