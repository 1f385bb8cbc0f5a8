"""OpenAI's interfaces while Redis is away: each call is refused in OpenAI's form; a repeat then finds its job."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contract.openai_clients import ASKED, CHAT, REPEAT, RESPONSES, Clients, clients
from tests.http_harness import HttpHarness, json_of

__all__ = ["clients"]  # a fixture

# fakeredis can be taken away from all clients at once.
pytestmark = pytest.mark.parametrize("make_harness", ["flask-fakeredis"], indirect=True)


@contextmanager
def away(harness: HttpHarness) -> Iterator[None]:
    """No connection to Redis."""
    server = harness.backend.store.client.get_connection_kwargs()["server"]
    server.connected = False
    try:
        yield
    finally:
        server.connected = True


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CHAT),
        ("GET", f"{CHAT}/chatcmpl-<job>"),
        ("POST", RESPONSES),
        ("GET", f"{RESPONSES}/resp_<job>"),
        ("GET", f"{RESPONSES}/resp_<job>?stream=true"),
        ("GET", f"{RESPONSES}/resp_<job>/input_items"),
        ("POST", f"{RESPONSES}/resp_<job>/cancel"),
        ("DELETE", f"{RESPONSES}/resp_<job>"),
    ],
)
def test_each_call_is_refused_in_openais_form(harness: HttpHarness, method: str, path: str) -> None:
    """503, with a time after which the SDKs repeat by themselves."""
    job_id = harness.submitted()
    body = {**ASKED, "stream": True} if path == CHAT else {"model": "demo", "input": "Hi"}
    with away(harness):
        answer = harness.client.open(
            path.replace("<job>", job_id), method=method, json=body if method == "POST" else None
        )
    assert answer.status_code == 503
    assert json_of(answer)["error"]["code"] == "store_unavailable"
    assert json_of(answer)["error"]["type"] == "server_error"
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert "x-should-retry" not in answer.headers


def test_an_outage_after_a_job_was_made_leaves_it_to_the_repeat(clients: Clients) -> None:
    """A process that cannot write the end of a repeat's record still has the record: one job, one answer."""
    asked = clients.post(CHAT, ASKED)
    job_id = clients.new_job()
    clients.stop()
    assert asked.result().status_code == 503
    with away(clients.harness):
        assert clients.post(CHAT, ASKED, REPEAT).result().status_code == 503
    clients.harness.worker.answer(job_id, "Hello")
    assert clients.post(CHAT, ASKED, REPEAT).result().headers["x-request-id"] == job_id
    assert clients.job_count() == 1
