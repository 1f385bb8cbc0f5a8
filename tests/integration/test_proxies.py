"""The configurations of other proxies in deploy/, in the real programs, in front of two real web processes."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import pytest
from websockets.sync.client import connect

from tests.event_reader import EventReader
from tests.integration.web_process import InBackground, Site, WebProcess
from tests.proxy_server import PROXIES, ProxyServer
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.sentinel_fleet import SentinelFleet
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel


@pytest.fixture(scope="module")
def webs(valkey_url: str) -> Iterator[tuple[WebProcess, WebProcess]]:
    with (
        WebProcess(valkey_url, TOKENTAIL_LEASE_S="600") as first,
        WebProcess(valkey_url, TOKENTAIL_LEASE_S="600") as other,
    ):
        yield first, other


@pytest.fixture(scope="module", params=PROXIES)
def started_proxy(
    request: pytest.FixtureRequest, webs: tuple[WebProcess, WebProcess], valkey_server: ValkeyServer | SentinelFleet
) -> Iterator[Site]:
    client = valkey_server.connect()
    ScriptedWorker(wire(client, client, load_settings({}))).beat()  # without one, the web processes are not ready
    client.close()
    with ProxyServer(PROXIES[request.param], webs[0].port, webs[1].port) as proxy:
        yield proxy


@pytest.fixture
def proxy(started_proxy: Site, worker: ScriptedWorker) -> Site:
    """The proxy, which knows that the web processes are ready: while the store was emptied they were not."""
    del worker  # it is enough that it lives
    eventually(lambda: started_proxy.ask("GET", "/readyz").status == 200, within_s=10, what="it passes requests on")
    return started_proxy


def test_streams_polls_and_sockets_pass(proxy: Site, worker: ScriptedWorker, real_client: RedisClient) -> None:
    """Each token passes before the next one is written, over all transports."""
    job_id = proxy.submit().json["id"]
    path = f"/v1/jobs/{job_id}"
    writer = worker.take(job_id)
    with (
        EventReader(proxy, f"{path}/stream") as stream,
        connect(f"ws://localhost:{proxy.port}{path}/ws", proxy=None) as socket,
    ):
        cursor = "0"
        for token in ("one", " two", " three"):
            poll = InBackground(proxy, "GET", f"{path}/tokens?wait=20&cursor={cursor}")
            eventually(lambda: real_client.pubsub_numsub(live_channel(job_id))[0][1], what="somebody waits")
            worker.say(writer, token)
            reply = poll.reply(10)
            cursor = reply.json["cursor"]
            assert (reply.status, reply.json["tokens"]) == (200, [token])
            assert next(
                event.poll["tokens"] for event in iter(stream.next_with_data, None) if event.poll["tokens"]
            ) == [token]
            assert next(tokens for frame in socket if (tokens := json.loads(frame)["tokens"])) == [token]
        worker.say(writer, COMPLETED)
        assert [event.poll["done"] for event in stream.rest()] == [True]


def test_a_page_writes(proxy: Site) -> None:
    """Host arrives as the browser sent it, with its port, so the page's Origin is ours; another page's is not."""
    assert proxy.submit(Host=f"localhost:{proxy.port}", Origin=f"http://localhost:{proxy.port}").status == 202
    assert proxy.submit(Host=f"localhost:{proxy.port}", Origin="http://localhost:1").status == 403


class DyingProcess:
    """In the place of a web process: passes for healthy, and closes the connection of each other request unanswered."""

    def __init__(self) -> None:
        self.keys: list[str] = []  # the Idempotency-Key of each of these requests

    def __enter__(self) -> Self:
        process = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_POST(self) -> None:
                process.keys.append(self.headers.get("Idempotency-Key", ""))

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_haproxy_sends_a_submission_again_under_one_key() -> None:
    """A submission whose process died unanswered goes to the other one, which would make no second job of it."""
    with DyingProcess() as first, DyingProcess() as other:
        with ProxyServer(PROXIES["haproxy"], first.port, other.port) as haproxy:
            assert haproxy.submit().status == 502
            assert haproxy.submit(Idempotency_Key="own").status == 502
        keys = Counter([*first.keys, *other.keys])
    assert keys.pop("own") > 1
    [(key, count)] = keys.items()
    assert key
    assert count > 1
    assert first.keys
    assert other.keys
