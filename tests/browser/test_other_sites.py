"""Pages of other sites, in a browser with a session of ours, read nothing and start nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import KEY, PAGE
from tests.browser.harness import BrowserHarness
from tests.browser.seen import ready_state, soon
from tests.scripted_worker import ScriptedWorker
from tokentail.config.key_ring import owner_name
from tokentail.redis.backend import Backend

ATTEMPTS = (Path(__file__).parent / "foreign.js").read_text()
AUTHORIZED = {"method": "POST", "headers": {"Authorization": f"Bearer {KEY}"}}


class _ForeignPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>theirs</title>")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ForeignPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture(params=["localhost", "127.0.0.1"], ids=["another-site", "another-port-of-the-same-site"])
def foreign_page(
    context: BrowserContext, keyed_harness: BrowserHarness, foreign_port: int, request: pytest.FixtureRequest
) -> Page:
    """A page of another site in a browser with a session of ours. From another port even a Strict cookie is sent."""
    ours = context.new_page()
    ours.goto(keyed_harness.url + PAGE)
    assert ours.evaluate("async options => (await fetch('/v1/session', options)).status", AUTHORIZED) == 204
    page = context.new_page()
    page.goto(f"http://{request.param}:{foreign_port}/")
    return page


@pytest.fixture
def job_id(keyed_harness: BrowserHarness, worker: ScriptedWorker) -> str:
    """A job of the browser's owner that has text."""
    reply = keyed_harness.web.submit(Authorization=f"Bearer {KEY}")
    assert reply.status == 202, reply
    job_id = str(reply.json["id"])
    worker.say(worker.take(job_id), "secret")
    return job_id


def test_it_starts_reads_and_cancels_nothing(
    foreign_page: Page, keyed_harness: BrowserHarness, worker: ScriptedWorker, own: Backend, job_id: str
) -> None:
    """A page of another site can neither start a job by fetch or image, nor read a response."""
    refused_before = keyed_harness.web.log.count("status=403")
    outcomes = foreign_page.evaluate(ATTEMPTS, [keyed_harness.url, f"/v1/jobs/{job_id}"])
    assert set(outcomes) == {"cannot be read", "was refused"}, outcomes
    assert own.store.jobs_of(owner_name(KEY), None, 10) == [job_id]
    assert own.store.view(job_id).status == "running"
    assert keyed_harness.web.log.count("status=403") >= refused_before + 4  # they did arrive


def test_it_can_follow_nothing(
    foreign_page: Page, keyed_harness: BrowserHarness, worker: ScriptedWorker, own: Backend, job_id: str
) -> None:
    """An EventSource gives up without an event, with credentials or without; a WebSocket is refused."""
    for address in (f"/v1/jobs/{job_id}/stream", "/stream?query=theirs"):
        for with_credentials in (False, True):
            foreign_page.evaluate(
                "([address, withCredentials]) => { follow(address, { withCredentials }) }",
                [keyed_harness.url + address, with_credentials],
            )
            soon(lambda: ready_state(foreign_page) == 2, what="it gives up")
    foreign_page.evaluate("openSocket", f"{keyed_harness.url.replace('http', 'ws', 1)}/v1/jobs/{job_id}/ws")
    soon(lambda: foreign_page.evaluate("seen.closed"), what="it is refused")
    assert foreign_page.evaluate("seen.closed.code") == 1006
    assert foreign_page.evaluate("[seen.events, seen.told, seen.frames]") == [[], [], []]
    assert own.store.jobs_of(owner_name(KEY), None, 10) == [job_id]


def test_its_links_start_nothing(foreign_page: Page, keyed_harness: BrowserHarness, job_id: str, own: Backend) -> None:
    """`/stream` is a GET that makes a job, so following another site's link to it is refused."""
    with foreign_page.expect_navigation() as navigation:
        foreign_page.evaluate("address => { location.href = address }", f"{keyed_harness.url}/stream?query=theirs")
    response = navigation.value
    assert response is not None
    assert response.status == 403
    assert own.store.jobs_of(owner_name(KEY), None, 10) == [job_id]
