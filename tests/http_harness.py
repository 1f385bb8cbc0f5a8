"""The web process without a process: a client in front of either binding on a backend, and a worker that writes
what a test wants. Flask is asked by its test client, the read plane over a socket of loopback."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from wsgiref import validate  # of which the types know one function

import fakeredis
from werkzeug.test import Client, TestResponse

from app.reading.hub import Hub
from app.reading.hub_thread import HubThread
from app.serving.flask_app import create_app
from app.wiring import Calls, wire_calls
from tests.loopback import LoopbackPlane, LoopThread, OverSocket
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.log.cursor import BEGINNING
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.client import AsyncRedisClient, connect_async
from tokentail.redis.keys import live_channel


@dataclass(frozen=True)
class HttpHarness:
    """Ask it as a client would; make its worker speak."""

    backend: Backend
    calls: Calls
    client: Client
    worker: ScriptedWorker
    plane: LoopbackPlane | None  # None: it is Flask's alone
    hub_thread: HubThread | None  # of Flask's alone

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.client.post(path, **options)

    def submit(self, body: Mapping[str, Any] | None = None, **headers: str) -> TestResponse:
        """POST a job; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/v1/jobs", json=body or {"prompt": "why"}, headers=named)

    def submitted(self) -> str:
        """The id of a job that was just submitted."""
        answer = self.submit()
        assert answer.status_code == 202, answer.text
        return str(json_of(answer)["id"])

    def delete(self, job_id: str, **options: Any) -> None:
        """Delete the job, and wait until the web process knows, which takes a moment longer than the answer."""
        path = f"/v1/jobs/{job_id}"
        assert self.client.delete(path, **options).status_code == 204
        eventually(lambda: self.get(f"{path}/tokens", **options).status_code == 410, what="the job is gone")

    def poll(self, job_id: str, query: str = "", kind: str = "tokens") -> dict[str, Any]:
        """A poll's body."""
        answer = self.get(f"/v1/jobs/{job_id}/{kind}?{query}")
        assert answer.status_code == 200, answer.text
        return json_of(answer)

    def is_followed(self, job_id: str) -> bool:
        """Whether the process would hear news of the job."""
        return bool(self.backend.store.client.pubsub_numsub(live_channel(job_id))[0][1])

    def is_live(self, job_id: str) -> bool:
        """Whether the process has all news of the job from its subscription: a poll that waits reads nothing more."""
        if self.plane is not None:
            return self.plane.is_live(job_id)
        assert self.hub_thread is not None

        async def is_live(hub: Hub) -> bool:
            return hub.tails.is_live(job_id)

        return self.hub_thread.run(is_live)

    def waits(self) -> int:
        """How many wait now."""
        if self.plane is not None:
            return self.plane.wired.hub.waits
        assert self.hub_thread is not None
        return self.hub_thread.waits

    def end_waits(self) -> None:
        """Stop, as a web process does at the end of its grace: no reader waits any more."""
        if self.plane is not None:
            self.plane.end_waits()
        if self.hub_thread is not None:

            async def end(hub: Hub) -> None:
                hub.end()

            self.hub_thread.run(end)

    def close(self) -> None:
        """Let everybody go."""
        if self.plane is not None:
            self.plane.close()
        if self.hub_thread is not None:
            self.hub_thread.stop(5)


class MakeHarness(Protocol):
    """`make_harness(TOKENTAIL_API_KEYS="k", …)`: a harness with these settings, closed when its test is over."""

    def __call__(self, *, has_worker: bool = True, **environment: str) -> HttpHarness: ...


def open_harness(
    backend: Backend,
    loop_thread: LoopThread | None,
    redis_url: str,
    *,
    has_worker: bool = True,
    is_timeless: bool = False,
    **environment: str,
) -> HttpHarness:
    """A harness with these settings; with a loop it is the read plane's. Close it at the end. In a timeless one it is
    always the same moment in every response, and waits last as long as they were asked to."""
    clocks: Any = {"now_ms": lambda: 0, "clock": lambda: 0.0} if is_timeless else {}
    calls = wire_calls(load_settings(environment), backend, **clocks)
    worker = ScriptedWorker(backend)
    if has_worker:
        worker.beat()
    backend.observer.observe()
    if loop_thread is None:
        hub = hub_thread_of(calls, backend, redis_url)
        worker = _HeardWorker(backend, partial(_has_heard, hub))
        client = Client(_held_to_wsgi(create_app(calls, hub)))
        return HttpHarness(backend, calls, client, worker, None, hub)
    plane = LoopbackPlane(loop_thread, calls, redis_url)
    worker = _HeardWorker(backend, plane.has_heard)
    return HttpHarness(backend, calls, Client(OverSocket(plane.port)), worker, plane, None)


def _held_to_wsgi(inner: Any) -> Any:
    """The application, whose heads all have to be as PEP 3333 has them; strict servers answer 500 in their place."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            checks: Any = validate
            checks.check_status(status)
            checks.check_headers(headers)
            checks.check_content_type(status, headers)
            return start_response(status, headers, *error)

        return inner(environ, start)

    return application


def hub_thread_of(calls: Calls, backend: Backend, redis_url: str = "") -> HubThread:
    """A hub for Flask, on the Redis at the URL, or without one on the backend's fakeredis. Stop it at the end."""

    def connect() -> AsyncRedisClient:
        if redis_url:
            return connect_async(redis_url, 0.9)
        server = backend.buffer_client.get_connection_kwargs()["server"]
        return fakeredis.FakeAsyncRedis(server=server, protocol=2)

    return HubThread(calls.settings, connect, calls.open_tails)


def _has_heard(hub_thread: HubThread, job_id: str, length: int) -> bool:
    """Whether a poll of the job is answered from all of a log of this length, if need be by asking Redis."""

    async def has_heard(hub: Hub) -> bool:
        batch = hub.tails.read_now(job_id, BEGINNING, 1)
        return batch is None or batch.length >= length

    return hub_thread.run(has_heard)


@dataclass
class _HeardWorker(ScriptedWorker):
    """Goes on when the web process has what it wrote, which takes a moment longer than the store's answer."""

    has_heard: Callable[[str, int], bool]

    def drain(self, writer: LogWriter) -> None:
        length = 0
        while append := writer.next_append(now_ms()):
            appended = self.backend.store.append(append)
            writer.settle(append, appended)
            length = appended.length
        eventually(lambda: self.has_heard(writer.job_id, length), what="the web process hears")


def json_of(answer: TestResponse) -> dict[str, Any]:
    """A JSON body, problem documents included."""
    body: dict[str, Any] = answer.get_json(force=True)
    return body


def assert_problem(answer: TestResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer with this status."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    document = json_of(answer)
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["type"]
    return document
