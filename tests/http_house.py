"""The web process without a process: a client in front of either binding on a backend, and a worker that says what it
is told. Flask is asked by its test client, the read plane over a socket of loopback."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from werkzeug.test import Client, TestResponse

from app.calls import Calls, wire_calls
from app.flask_app import create_app
from tests.loopback import LoopbackPlane, LoopThread, OverSocket
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.backend import Backend, now_ms
from tokentail.commands import live_channel
from tokentail.follow import seats_among
from tokentail.log_writer import LogWriter
from tokentail.settings import load_settings


@dataclass(frozen=True)
class HttpHouse:
    """Ask it as a client would; make its worker speak."""

    backend: Backend
    calls: Calls
    client: Client
    worker: ScriptedWorker
    plane: LoopbackPlane | None  # None: it is Flask's alone

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

    def poll(self, job_id: str, query: str = "", kind: str = "tokens") -> dict[str, Any]:
        """A poll's body."""
        answer = self.get(f"/v1/jobs/{job_id}/{kind}?{query}")
        assert answer.status_code == 200, answer.text
        return json_of(answer)

    def is_followed(self, job_id: str) -> bool:
        """Whether the process would hear news of the job."""
        return bool(self.backend.store.client.pubsub_numsub(live_channel(job_id))[0][1])

    def waits(self) -> int:
        """How many wait now."""
        if self.plane is not None:
            return self.plane.wired.plane.driver.waits
        return seats_among(self.calls.settings.web_threads) - self.calls.follower.seats.free

    def close(self) -> None:
        """Let everybody go."""
        self.calls.wakeups.close()
        if self.plane is not None:
            self.plane.close()
        self.calls.wakeups.join(5)


class MakeHouse(Protocol):
    """`make_house(TOKENTAIL_API_KEYS="k", …)`: a house with these settings, closed when its test is over."""

    def __call__(self, *, has_worker: bool = True, **environment: str) -> HttpHouse: ...


def open_house(
    backend: Backend,
    loop_thread: LoopThread | None,
    redis_url: str,
    *,
    has_worker: bool = True,
    is_timeless: bool = False,
    **environment: str,
) -> HttpHouse:
    """A house with these settings; with a loop it is the read plane's. Close it at the end. In a timeless one it is
    always the same moment for all that is told of time, and waits last as long as they were asked to."""
    clocks: Any = {"now_ms": lambda: 0, "clock": lambda: 0.0} if is_timeless else {}
    calls = wire_calls(load_settings(environment), backend, **clocks)
    worker = ScriptedWorker(backend)
    if has_worker:
        worker.beat()
    backend.observer.observe()
    if loop_thread is None:
        return HttpHouse(backend, calls, create_app(calls).test_client(), worker, None)
    plane = LoopbackPlane(loop_thread, calls, redis_url)
    worker = _HeardWorker(backend, plane)
    return HttpHouse(backend, calls, Client(OverSocket(plane.port)), worker, plane)


@dataclass
class _HeardWorker(ScriptedWorker):
    """Goes on when the read plane has heard what it said, which takes a moment longer than the store's answer."""

    plane: LoopbackPlane

    def drain(self, writer: LogWriter) -> None:
        length = 0
        while append := writer.next_append(now_ms()):
            appended = self.backend.store.append(append)
            writer.settle(append, appended)
            length = appended.length
        eventually(lambda: self.plane.has_heard(writer.job_id, length), what="the read plane hears")


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
