"""Bounded names: whatever clients call things, a web process's memory and its scrape do not grow with the names."""

from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest
from prometheus_client import CollectorRegistry, generate_latest

import app.http.api_page
import app.http.bodies
import app.serving.request_context
import app.serving.static_files
from app.http.access import Caller
from app.reading.hub import Hub
from app.reading.subscription import Subscription
from app.reading.tails import Tails
from app.serving.metrics import WebMetrics
from app.serving.quick_polls import Admission, QuickPolls
from app.wiring import wire_calls
from tests.held import held_by
from tests.http_harness import HttpHarness, open_harness
from tokentail.config.settings import load_settings
from tokentail.jobs.sweep import SweepTotals
from tokentail.redis.backend import wire

NAMES = 10_000
_REQUESTS = 3_000
_FEW = 1500  # objects; caches of a fixed size may fill up meanwhile
_CACHES = [app.http.api_page, app.http.bodies, app.serving.request_context, app.serving.static_files]


@pytest.fixture
def harness() -> Iterator[HttpHarness]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    backend = wire(client, client, load_settings({}))
    harness = open_harness(backend, None, "", TOKENTAIL_API_KEYS="k", TOKENTAIL_CORS_ORIGINS="https://app.example")
    yield harness
    harness.close()
    client.close()


def caches() -> list[object]:
    """The functions of these modules that remember what they gave."""
    return [each for module in _CACHES for each in vars(module).values() if hasattr(each, "cache_info")]


@pytest.mark.parametrize(
    "ask",
    [
        lambda harness, i: harness.get(f"/docs/{i}.js"),
        lambda harness, i: harness.get(f"/page/{i}.js"),
        lambda harness, i: harness.get(f"/v1/jobs/{i}/tokens", headers={"Authorization": "Bearer k"}),
        lambda harness, i: harness.get(f"/v1/poll?job={i:026d}:g.{i}", headers={"Authorization": "Bearer k"}),
        lambda harness, i: harness.get("/v1/models", headers={"Authorization": f"Bearer key-{i}"}),
        lambda harness, i: harness.get("/v1/models", headers={"Cookie": f"tokentail_session={i}.x"}),
        lambda harness, i: harness.get("/healthz", headers={"Origin": f"https://{i}.example", f"X-Header-{i}": f"{i}"}),
        lambda harness, i: harness.get("/healthz", headers={"Host": f"host-{i}.example"}),
        lambda harness, i: harness.client.open(f"/{i}", method=f"METHOD{i}"),
    ],
    ids=["docs", "pages", "jobs", "polls", "keys", "sessions", "origins", "hosts", "methods"],
)
def test_a_web_process_does_not_grow_with_what_it_is_asked(
    harness: HttpHarness, ask: Callable[[HttpHarness, int], object]
) -> None:
    """Thousands of names of each kind are thousands of refusals, and no more memory than a few."""
    for i in range(300):
        ask(harness, i)
    before = held_by(harness.calls, harness.client.application, *caches())
    for i in range(300, _REQUESTS):
        ask(harness, i)
    assert held_by(harness.calls, harness.client.application, *caches()) < before + _FEW


def test_the_scrape_does_not_grow_with_what_clients_ask() -> None:
    """Paths and methods are theirs; routes and statuses are few."""
    metrics = WebMetrics(CollectorRegistry(), SweepTotals())
    for i in range(NAMES):
        for path in (
            f"/{i}",
            f"/v1/jobs/{i}",
            f"/v1/jobs/{i}/tokens",
            f"/v1/jobs/x/{i}",
            f"/page/{i}.js",
            f"/docs/{i}",
        ):
            scope = {"method": f"M{i}" if i % 2 else "GET", "path": path, "query_string": b"cursor=%d&wait=%d" % (i, i)}
            metrics.answered(scope, 404, 0.001)
    assert len(generate_latest(metrics.registry).splitlines()) < 1000


def test_the_read_plane_does_not_grow_with_jobs_owners_and_cursors() -> None:
    """What is followed is forgotten, and what is not there is not remembered."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    calls = wire_calls(load_settings({}), wire(client, client, load_settings({})))
    redis: Any = client  # nothing is read from it
    tails = Tails(redis, most_bytes=1 << 20, now_ms=lambda: 0, clock=lambda: 0.0)
    hub, quick_polls = Hub(tails, 5, 5), QuickPolls(calls.access, calls.polls, tails, lambda: 0.0)
    subscription = Subscription(redis, tails)

    def use(i: int) -> None:
        hub.enter(f"owner-{i}")
        hub.leave(f"owner-{i}")
        hub.is_full(f"owner-{i}")
        job_id = f"{i:026d}"
        for url in (f"/v1/jobs/{job_id}/tokens?cursor=g.{i}", f"/v1/jobs/{job_id}/events?cursor=g{i}.1&wait={i + 1}"):
            headers = [(b"host", b"127.0.0.1"), (b"x-%d" % i, b"%d" % i), (b"origin", b"http://127.0.0.1:%d" % i)]
            quick_polls.admit(url.encode(), headers, None)
            quick_polls.look(url.encode(), Admission(headers, b"", Caller(f"owner-{i}"), ""))
        subscription.add(f"channel-{i}")
        subscription.drop(f"channel-{i}")

    for i in range(300):
        use(i)
    before = held_by(hub, quick_polls, subscription, calls)
    for i in range(300, NAMES):
        use(i)
    assert held_by(hub, quick_polls, subscription, calls) < before + _FEW
    client.close()
