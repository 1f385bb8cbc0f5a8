"""The web process's metrics: labels are few, whatever clients send."""

import re

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from app.http.routes import ROUTES
from app.serving.flask_app import create_app
from app.serving.metrics import WebMetrics, route_of
from app.serving.static_files import STATIC_PATHS
from app.wiring import wire_calls
from tests.scrape import Scrape
from tokentail.config.settings import load_settings
from tokentail.jobs.sweep import SweepTotals
from tokentail.redis.backend import wire


def test_every_route_of_the_app_is_told_apart() -> None:
    """A new one must be given its template here, too."""
    settings = load_settings({})
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    app = create_app(wire_calls(settings, wire(client, client, settings)))
    rules = [re.sub(r"<path:(\w+)>", r"{\1*}", rule.rule) for rule in app.url_map.iter_rules()]
    templates = {re.sub(r"<(\w+)>", r"{\1}", rule) for rule in rules}
    pages = {template for template in templates if template.startswith("/page/")}  # a file each; told as one
    assert {route_of(path) for path in pages} == {"/page/{name}"}
    assert {route_of(re.sub(r"{\w+\*?}", "x", template)) for template in templates - pages} == templates - pages
    client.close()


@given(st.text() | st.from_regex(r"/v1/jobs/.*"))
def test_no_path_makes_a_route_of_its_own(path: str) -> None:
    """Whatever is asked for, its route is one of the table, of the static files, or `other`."""
    assert route_of(path) in {*(route.path for route in ROUTES), *(route_of(path) for path in STATIC_PATHS), "other"}


@pytest.mark.parametrize(
    ("query", "waits"),
    [
        (b"", "false"),
        (b"wait=20", "true"),
        (b"cursor=0&wait=0.5", "true"),
        (b"wait=0", "false"),
        (b"wait=0.0&cursor=1", "false"),
        (b"await=3", "false"),
    ],
)
def test_polls_that_wait_are_told_from_those_that_do_not(query: bytes, waits: str) -> None:
    """A long poll of twenty seconds is no slow answer."""
    metrics = WebMetrics(CollectorRegistry(), SweepTotals())
    metrics.watch(lambda: 5)
    scope = {"method": "GET", "path": "/v1/jobs/a/tokens", "query_string": query}
    metrics.answered(scope, 200, 0.004)
    seen = Scrape(generate_latest(metrics.registry).decode())
    labels = {"method": "GET", "route": "/v1/jobs/{job_id}/tokens"}
    assert seen.value("tokentail_http_requests_total", **labels, status="200") == 1
    assert seen.value("tokentail_http_request_seconds_bucket", **labels, waits=waits, le="0.005") == 1
    assert seen.value("tokentail_http_waits") == 5
