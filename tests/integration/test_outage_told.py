"""Redis away, seen by a client: every call is answered in words within two seconds, however Redis is away."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.http.router import Auth, Kind, Route
from app.http.routes import ROUTES
from tests.integration.web_process import WebProcess
from tests.scripted_worker import DEMO
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.errors import StoreUnavailable
from tokentail.jobs.fleet import Fleet, Lease
from tokentail.redis.client import connect
from tokentail.redis.errors import redis_errors

WITHIN_S = 2.0
_AT_ONCE = 4  # calls: each waits for Redis, for as long as it may
_NEEDS_NO_REDIS = {"streamText"}
_BODIES: dict[str, dict[str, Any]] = {
    "submitJob": {"prompt": "why"},
    "createChatCompletion": {"model": "demo", "messages": [{"role": "user", "content": "why"}]},
    "createResponse": {"model": "demo", "input": "why"},
    "createChatAnswer": {"id": "c", "messages": [{"role": "user", "parts": [{"type": "text", "text": "why"}]}]},
    "shareJob": {},
}


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer(is_durable=True) as server:
        yield server


@pytest.mark.parametrize("away", ["hung", "refused"])
def test_every_call_says_within_two_seconds_that_redis_is_away(server: ValkeyServer, away: str) -> None:
    """A 503 with a sentence, from each route that needs Redis; pages and the process's own health need none."""
    with WebProcess(server.url) as web, connect(server.url, timeout_s=1) as client:
        Fleet(client).beat("worker", Lease(1, 4, [], [DEMO]))  # without any, nothing is accepted
        job_id = json.loads(web.submit().body).get("id", "")
        (server.pause if away == "hung" else server.kill)()
        time.sleep(1.2)  # what was read a second ago may still be answered
        late, silent = {}, {}

        def ask(route: Route) -> None:
            path = route.path.replace("{job_id}", job_id).replace("{response_id}", f"resp_{job_id}")
            path = path.replace("{completion_id}", f"chatcmpl-{job_id}").replace("{model*}", "demo")
            query = {"pollAny": f"?job={job_id}&wait=20", "pollTokens": "?wait=20", "pollEvents": "?wait=20"}
            query["deleteJobs"] = "?all=1"
            body = json.dumps(_BODIES.get(route.name, {})).encode() if route.method == "POST" else b""
            began = time.monotonic()
            reply = web.ask(route.method, path + query.get(route.name, ""), body, Content_Type="application/json")
            took_s = time.monotonic() - began
            if took_s > WITHIN_S:
                late[f"{route.method} {route.path}"] = round(took_s, 2)
            if b"Redis does not answer" not in reply.body:
                silent[f"{route.method} {route.path}"] = (reply.status, reply.body[:200])

        asked = [each for each in ROUTES if each.auth is Auth.KEY and each.kind not in {Kind.SOCKET, Kind.PLAIN}]
        with ThreadPoolExecutor(_AT_ONCE) as clients:
            list(clients.map(ask, [each for each in asked if each.name not in _NEEDS_NO_REDIS]))
        (server.resume if away == "hung" else server.start)()
        assert (late, silent) == ({}, {})
        eventually(lambda: web.ask("GET", f"/v1/jobs/{job_id}").status == 200, within_s=5, what="Redis is back")


def test_a_name_look_up_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own look-up has no time limit; all connections that need the name share one."""
    calls = []

    def hang(host: str, *_: object, **__: object) -> list[Any]:
        calls.append(host)
        time.sleep(5)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    client = connect("redis://redis.example:6379/0", timeout_s=0.3)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable), redis_errors():
        client.ping()
    assert time.monotonic() - began < 1.5
    assert calls == ["redis.example"]
