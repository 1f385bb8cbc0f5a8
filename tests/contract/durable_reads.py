"""Reads of a job's streams as a client of Durable Streams sends them."""

import json
from http.client import IncompleteRead
from typing import Any

from werkzeug.test import TestResponse

from tests.http_harness import HttpHarness
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End

FAILED = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "The provider is overloaded."))


def read(harness: HttpHarness, job_id: str, kind: str, query: str = "", **headers: str) -> TestResponse:
    """One read of `events` or `text`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return harness.get(f"/v1/jobs/{job_id}/durable/{kind}?{query}", headers=named)


def facts(answer: TestResponse) -> dict[str, str]:
    """The headers of the protocol, by the second part of their names."""
    named = {name.title(): value for name, value in answer.headers.items()}
    return {name.removeprefix("Stream-"): value for name, value in named.items() if name.startswith("Stream-")}


def offset_of(answer: TestResponse) -> str:
    return answer.headers["Stream-Next-Offset"]


def sse(harness: HttpHarness, job_id: str, kind: str, offset: str = "-1") -> tuple[list[tuple[str, Any]], bool]:
    """The events of a stream until it ends, each as its type and its data; and whether the stream was cut off."""
    content, is_cut = b"", False
    with read(harness, job_id, kind, f"offset={offset}&live=sse") as answer:
        assert answer.status_code == 200, answer.data
        assert answer.headers["Content-Type"] == "text/event-stream"
        try:
            for part in answer.iter_encoded():
                content += part
        except (ConnectionResetError, IncompleteRead):
            is_cut = True
    return events_of(content.decode(), kind), is_cut


def events_of(text: str, kind: str = "text") -> list[tuple[str, Any]]:
    """The events in the text of a stream: of `control`, and of data of the kind `events`, as JSON."""
    found: list[tuple[str, Any]] = []
    for block in text.split("\n\n"):
        name, *lines = block.split("\n")
        if name.startswith("event: "):
            data = "\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines)
            is_text = kind == "text" and name == "event: data"
            found.append((name.removeprefix("event: "), data if is_text else json.loads(data)))
    return found
