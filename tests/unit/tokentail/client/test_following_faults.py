"""A follower reads the log's text in any order of faults, resets and transports."""

import json
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from tests.unit.tokentail.client.fake_server import CUT, EVENT_STREAM, OPENING, SILENCE, Answer, FakeServer, FakeTime
from tokentail.client import Choice, Client

FAULTS = ("none", "lost", "late", "502", "503", "cut", "cut in an event", "silence", "mute", "refused", "html")
STREAM_FAULTS = {"cut", "cut in an event", "silence", "mute", "refused", "html"}


class FaultyLog(BaseAdapter):
    """A log that grows with every request, resets where the test says, and is read through given faults."""

    def __init__(self, moment: FakeTime, steps: list[tuple[str, int]], reset_at: int) -> None:
        super().__init__()
        self._served = FakeServer(moment, [Answer()])
        self._steps: Iterator[tuple[str, int]] = chain(steps, repeat(("none", 3)))
        self._reset_at = reset_at
        self._requests = 0
        self._generation = "g"
        self.tokens: list[str] = []

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        fault, growth = next(self._steps)
        self._requests += 1
        if self._requests == self._reset_at:
            self._generation, self.tokens = "h", []
        is_over = self._requests > 30
        self.tokens += [f"{self._generation}{len(self.tokens) + n} " for n in range(0 if is_over else growth)]
        is_stream = (request.url or "").partition("?")[0].endswith("/stream")
        self._served.answers = [self._answer(request, "none" if is_over else fault, is_stream, is_over)]
        return self._served.send(request, *arguments, **options)

    def close(self) -> None:
        """Nothing needs to be closed."""

    def _answer(self, request: requests.PreparedRequest, fault: str, is_stream: bool, is_over: bool) -> Answer:
        match fault:
            case "lost":
                return Answer(error=requests.exceptions.ConnectionError())
            case "late":
                return Answer(error=requests.exceptions.ReadTimeout(), takes_s=6)
            case "502" | "503":
                return Answer(b"<html>", status=int(fault))
        if is_stream and fault in {"refused", "html"}:
            return Answer(b"<html>", status=405 if fault == "refused" else 200)
        body = self._body(request, is_over)
        if not is_stream:
            return Answer(body)
        told = f"id: {body['cursor']}\ndata: {json.dumps(body)}\n\n".encode()
        parts: dict[str, list[bytes | Exception]] = {
            "cut": [OPENING, told, CUT],
            "cut in an event": [OPENING, told[:-1], CUT],
            "silence": [OPENING, told, SILENCE],
            "mute": [SILENCE],
        }
        return Answer(headers=EVENT_STREAM, parts=parts.get(fault, [OPENING, told]))

    def _body(self, request: requests.PreparedRequest, is_over: bool) -> dict[str, Any]:
        generation, _, index = parameter(request, "cursor").rpartition(".")
        is_reset = generation not in {"", self._generation}
        first = 0 if is_reset or not generation else int(index)
        return {
            "job_id": "j1",
            "status": "completed" if is_over else "running",
            "tokens": self.tokens[first:],
            "cursor": f"{self._generation}.{len(self.tokens)}",
            "reset": is_reset,
            "done": is_over,
            "poll_after_ms": 0,
        }


def parameter(request: requests.PreparedRequest, name: str) -> str:
    return parse_qs(urlsplit(request.url or "").query)[name][0]


@given(
    steps=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 3)), max_size=25),
    reset_at=st.integers(0, 30),
    transport=st.sampled_from(["auto", "auto", "auto", "sse", "long", "short"]),
)
@settings(max_examples=100, deadline=None)
def test_the_logs_text_is_assembled(steps: list[tuple[str, int]], reset_at: int, transport: Choice) -> None:
    """No token is lost or repeated, and the text is of one generation."""
    if transport == "sse":
        steps = [step for step in steps if step[0] not in {"refused", "html"}]
    moment = FakeTime()
    session = requests.Session()
    log = FaultyLog(moment, steps, reset_at)
    session.mount("http://", log)
    client = Client("http://t.example", session=session, clock=moment.clock, pause=moment.pause, patience_s=10_000)
    text = ""
    for update in client.follow("j1", transport=transport):
        text = update.applied_to(text)
    assert text == "".join(log.tokens)
