"""The web process without a server: Flask's test client on a backend, and a worker that says what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.calls import Calls, wire_calls
from app.flask_app import create_app
from tests.scripted_worker import ScriptedWorker
from tokentail.backend import Backend
from tokentail.settings import load_settings


@dataclass(frozen=True)
class HttpHouse:
    """Ask it as a client would; make its worker speak."""

    backend: Backend
    calls: Calls
    client: FlaskClient
    worker: ScriptedWorker

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


def open_house(backend: Backend, *, has_worker: bool = True, **environment: str) -> HttpHouse:
    """A house with these settings; close its wake-ups at the end."""
    calls = wire_calls(load_settings(environment), backend)
    worker = ScriptedWorker(backend)
    if has_worker:
        worker.beat()
    return HttpHouse(backend, calls, create_app(calls).test_client(), worker)


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
