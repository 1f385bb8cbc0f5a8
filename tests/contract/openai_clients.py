"""Clients of OpenAI's interfaces that wait for their answers, each in its thread."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.http_harness import HttpHarness, json_of
from tests.waiting import eventually

CHAT, RESPONSES = "/openai/v1/chat/completions", "/openai/v1/responses"
HI = [{"role": "user", "content": "Hi"}]
ASKED = {"model": "demo", "messages": HI}
REPEAT = {"x-stainless-retry-count": "1"}


class Clients:
    """Clients that wait for their answers, each in its thread."""

    def __init__(self, harness: HttpHarness, threads: ThreadPoolExecutor) -> None:
        self.harness = harness
        self._threads = threads
        self._known: set[str] = set()

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> "Future[TestResponse]":
        """Send it; the answer comes later."""
        return self.post_bytes(path, json.dumps(body).encode(), headers)

    def post_bytes(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> "Future[TestResponse]":
        """Send these bytes as JSON."""
        waits = self.harness.waits()
        sent = self._threads.submit(self._post, path, body, headers)
        eventually(lambda: sent.done() or self.harness.waits() > waits, what="the client waits for its answer")
        return sent

    def _post(self, path: str, body: bytes, headers: dict[str, str] | None) -> TestResponse:
        answer = self.harness.post(path, data=body, headers={"Content-Type": "application/json", **(headers or {})})
        answer.get_data()  # to its end
        return answer

    def new_job(self) -> str:
        """The one job that was made since this was asked last."""
        ids = {job["id"] for job in json_of(self.harness.get("/v1/jobs"))["jobs"]}
        (new,) = ids - self._known
        self._known = ids
        return str(new)

    def wait_for_delivery(self) -> None:
        """Wait until no answer is on its way; the server knows it a moment after its client has the last byte."""
        client = self.harness.backend.store.client
        eventually(lambda: not client.keys("tt:repeat:*"), what="the answer was delivered")

    def job_count(self) -> int:
        return len(json_of(self.harness.get("/v1/jobs"))["jobs"])

    def hang_up(self, path: str, body: Any) -> str:
        """Send it to the read plane, hang up while it waits for its answer, and return the id of its job."""
        plane = self.harness.plane
        assert plane is not None
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        waits = self.harness.waits()
        with closing(socket.create_connection(("127.0.0.1", plane.port), timeout=20)) as connection:
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            eventually(lambda: self.harness.waits() > waits, what="the client waits for its answer")
        eventually(lambda: self.harness.waits() == waits, what="the server knows that the client left")
        return self.new_job()

    def stop(self) -> None:
        """Have the web process stop, at the end of its grace."""
        self.harness.end_waits()


@pytest.fixture
def clients(harness: HttpHarness) -> Iterator[Clients]:
    with ThreadPoolExecutor(8) as threads:
        yield Clients(harness, threads)
        harness.end_waits()  # or a test that failed would wait for its clients
