"""A call is one row of the table of routes: both bindings, access, metrics and the OpenAPI document follow the row."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from werkzeug.test import Client

from app.http.openapi import openapi_document
from app.http.operations import json_body
from app.http.request import Request
from app.http.response import Response, json_response
from app.http.router import Auth, Kind, Route, Router
from app.http.routes import ROUTES
from app.reading.steps import HandlerSteps, Head, RunBlocking, Send, Stream
from app.serving.flask_app import create_app
from app.serving.metrics import WebMetrics, route_of
from app.wiring import Calls, wire_calls
from tests.http_harness import hub_thread_of
from tests.loopback import LoopbackPlane, LoopThread, OverSocket
from tests.scrape import Scrape
from tokentail.config.settings import load_settings
from tokentail.jobs.sweep import SweepTotals
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient

_KEY = {"Authorization": "Bearer key-one"}


def _greeting(request: Request) -> Response:
    return json_response({"name": request.parameters["name"], "owner": request.owner, "query": request.query})


def _stepwise(request: Request) -> HandlerSteps[Response]:
    greeting: Response = yield RunBlocking(lambda: _greeting(request))
    return greeting


def _streamed(request: Request) -> Stream:
    yield Head(Response(200, {"Content-Type": "text/plain"}))
    yield Send(_greeting(request).body)


_HANDLERS: dict[Kind, Any] = {
    Kind.PLAIN: _greeting,
    Kind.BLOCKING: _greeting,
    Kind.STEPS: _stepwise,
    Kind.STREAM: _streamed,
}
_MORE = [
    Route(
        "GET",
        f"/v2/{kind.name.lower()}/{{name}}",
        kind,
        f"greet{kind.name}",
        "Greet.",
        {200: json_body("Health", "A greeting.")},
    )
    for kind in _HANDLERS
]
_MORE += [
    Route("PUT", "/v2/open/{name}", Kind.BLOCKING, "greetOpenly", auth=Auth.OPEN),
    Route("GET", "/v2/of-job/{job_id}", Kind.PLAIN, "ofJob"),
]
_MORE_HANDLERS = {
    **{f"greet{kind.name}": handler for kind, handler in _HANDLERS.items()},
    "greetOpenly": _greeting,
    "ofJob": lambda _request: json_response({}),
}


@pytest.fixture
def calls(real_client: RedisClient) -> Calls:
    settings = load_settings({"TOKENTAIL_API_KEYS": "key-one", "TOKENTAIL_CORS_ORIGINS": "https://app.example"})
    calls = wire_calls(settings, wire(real_client, real_client, settings), router=Router((*ROUTES, *_MORE)))
    return replace(calls, handlers={**calls.handlers, **_MORE_HANDLERS})


@pytest.fixture(params=["flask", "plane"])
def client(request: pytest.FixtureRequest, calls: Calls, real_client: RedisClient, valkey_url: str) -> Iterator[Client]:
    if request.param == "flask":
        hub = hub_thread_of(calls, wire(real_client, real_client, calls.settings), valkey_url)
        yield create_app(calls, hub).test_client()
        hub.stop(5)
        return
    with LoopThread() as loop_thread:
        plane = LoopbackPlane(loop_thread, calls, valkey_url)
        yield Client(OverSocket(plane.port))
        plane.close()


@pytest.mark.parametrize("kind", [kind.name.lower() for kind in _HANDLERS])
def test_a_new_row_is_a_whole_call(client: Client, kind: str) -> None:
    """A row and its handler are enough: both bindings serve the path, with its methods and the rule of its access."""
    path = f"/v2/{kind}/ann"
    answer = client.get(f"{path}?a=1", headers=_KEY)
    assert answer.status_code == 200, answer.text
    said = json.loads(answer.text)
    assert (said["name"], said["query"], bool(said["owner"])) == ("ann", {"a": "1"}, True)
    assert client.head(path, headers=_KEY).status_code == 200
    assert client.get(path).status_code == 401
    refused = client.post(path, headers=_KEY)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert set(client.options(path).headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert client.get(f"{path}/more", headers=_KEY).status_code == 404
    assert client.get(f"{path}/more").status_code == 401


def test_a_new_open_row_needs_no_key_and_its_method_is_named(client: Client) -> None:
    """An open row needs no key; browsers of allowed origins learn of a method that only this row has."""
    assert client.put("/v2/open/ann").status_code == 200
    assert client.put("/v2/open/ann", headers={"Origin": "https://evil.example"}).status_code == 403
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
    assert "PUT" in client.options("/v2/open/ann", headers=preflight).headers["Access-Control-Allow-Methods"]


def test_a_read_token_reads_a_new_row_of_its_job(client: Client, calls: Calls) -> None:
    """A read token is for all rows whose path has its job's id, and for no others."""
    owner = calls.access.owner_of_key({"authorization": "Bearer key-one"})
    assert owner
    token = calls.access.signer.read_token(owner, "job-a", 60)
    asked = [f"/v2/of-job/job-a?token={token}", f"/v2/of-job/job-b?token={token}", f"/v2/plain/job-a?token={token}"]
    assert [client.get(path).status_code for path in asked] == [200, 403, 403]


def test_a_new_row_has_its_label_and_its_place_in_the_document() -> None:
    """Metrics and the OpenAPI document know a row without further words."""
    router = Router((*ROUTES, *_MORE))
    assert route_of("/v2/plain/ann", router) == "/v2/plain/{name}"
    assert route_of("/v2/plain/ann") == "other"
    metrics = WebMetrics(CollectorRegistry(), SweepTotals(), router)
    metrics.answered({"method": "GET", "path": "/v2/stream/ann", "query_string": b""}, 200, 0.001)
    seen = Scrape(generate_latest(metrics.registry).decode())
    labels = {"method": "GET", "route": "/v2/stream/{name}", "waits": "true"}
    assert seen.value("tokentail_http_request_seconds_count", **labels) == 1
    document = json.loads(openapi_document(router))
    described = document["paths"]["/v2/plain/{name}"]
    assert described["get"]["operationId"] == "greetPLAIN"
    assert described["parameters"][0]["name"] == "name"
    assert set(described["get"]["responses"]) == {"200", "401", "403", "503"}
