"""Every call of the table of routes under the standard library's validator, which raises at what PEP 3333 forbids."""

import re
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import fakeredis
import pytest
from werkzeug.test import Client

from app.http.router import Route
from app.http.routes import ROUTES
from app.reading.hub import Hub
from app.serving.flask_app import create_app
from app.serving.static_files import STATIC_PATHS
from app.wiring import wire_calls
from tests.http_harness import hub_thread_of
from tests.scripted_worker import ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire

QUERIES = {
    "pollAny": "?job={job_id}",
    "streamText": "?query=why",
    "deleteJobs": "?all=1",
    "retrieveResponse": "?stream=true",
    "readDurableEvents": "?offset=-1&live=sse",
    "readDurableText": "?offset=now&live=long-poll",
}
NAMES = {"model": "demo", "name": "swagger-ui-bundle.js"}
BODIES: dict[str, Any] = {
    "submitJob": {"prompt": "why"},
    "createChatCompletion": {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
    "createResponse": {"model": "demo", "input": "Hi", "background": True},
}
# For want of a WebSocket, of a worker that answers, or of a real Redis.
MAY_BE_REFUSED = {"followJob", "createChatCompletion", "createChatAnswer", "ready"}


class Site:
    """A client of the WSGI application. Nothing waits in it: it is as at the end of a process's grace."""

    def __init__(self) -> None:
        redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        settings = load_settings({})
        backend = wire(redis, redis, settings)
        calls = wire_calls(settings, backend)
        self.hub = hub_thread_of(calls, backend)
        self.hub.run(_end)
        self.worker = ScriptedWorker(backend)
        self.worker.beat()
        self.client = Client(validator(create_app(calls, self.hub)))

    def path(self, route: Route, query: str) -> str:
        """The path of a call that concerns a new job, which is completed."""
        job_id = self.worker.submit()
        self.worker.answer(job_id, "a", "b")
        ids = {"job_id": job_id, "completion_id": f"chatcmpl-{job_id}", "response_id": f"resp_{job_id}", **NAMES}
        filled = re.sub(r"\{(\w+)\*?\}", lambda found: ids.get(found[1], "ann"), route.path)
        return filled + query.replace("{job_id}", job_id)


async def _end(hub: Hub) -> None:
    hub.end()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.hub.stop(5)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_call_keeps_to_wsgi(site: Site, route: Route) -> None:
    """A new row is covered by itself: as it is, by HEAD, conditional, of another site, and by a wrong method."""
    answered = set()
    for query in {"", QUERIES.get(route.name, "")}:
        path, body = site.path(route, query), BODIES.get(route.name)
        for method in (route.method, "HEAD", "PATCH"):
            for headers in ({"Accept": "text/event-stream"}, {"If-None-Match": "*"}, {"Origin": "null"}):
                sent = body if method == route.method else None
                with site.client.open(path, method=method, json=sent, headers=headers) as answer:
                    answer.get_data()
                answered.add(answer.status_code)
    assert 500 not in answered
    assert min(answered) < 400 or route.name in MAY_BE_REFUSED, answered


@pytest.mark.parametrize("path", [*sorted(STATIC_PATHS), "/missing", "/v1/missing", "/v1/jobs/x"])
def test_files_and_missing_pages_keep_to_wsgi(site: Site, path: str) -> None:
    """To programs and to browsers."""
    for headers in ({}, {"Accept": "text/html"}, {"If-None-Match": "*"}, {"Accept-Encoding": "gzip"}):
        for method in ("GET", "HEAD", "OPTIONS"):
            with site.client.open(path, method=method, headers=headers) as answer:
                answer.get_data()
            assert answer.status_code < 500
