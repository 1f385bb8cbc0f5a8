"""Traces of a real `tokentail up`, from the submission to the end, as a collector of OpenTelemetry receives them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from tests.acceptance.running import Up, running_up, wait_for_end
from tests.integration.raw_server import CHUNKED, FIRST, Connection, RawServer, chunk, raw_server
from tests.trace_collector import Collector, trace_collector
from tests.waiting import eventually

PROMPT = "a prompt that no collector may see"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_FINISH = b'data: {"choices": [{"delta": {"content": "!"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def answers(connection: Connection) -> None:
    """A provider that answers every request on the connection."""
    while True:
        connection.take_request()
        connection.send(CHUNKED + chunk(FIRST) + chunk(_FINISH) + chunk(b""))


def refuses(connection: Connection) -> None:
    """A provider that has too much to do."""
    connection.take_request()
    connection.send(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\nRetry-After: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with trace_collector() as collector:
        yield collector


def _up(folder: Path, collector: Collector, upstream: RawServer, **settings: str) -> AbstractContextManager[Up]:
    providers = folder / "providers.toml"
    base = upstream.url.removesuffix("/chat/completions")
    providers.write_text(f'[providers.scripted]\ndialect = "openai_chat"\nbase_url = "{base}"\n')
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    return running_up(folder, cwd=None, TOKENTAIL_PROVIDERS=str(providers), **exporting, **settings)


def _submit(up: Up, traceparent: str = "") -> str:
    headers = {"traceparent": traceparent} if traceparent else {}
    body = {"prompt": PROMPT, "model": "scripted/any"}
    answer = requests.post(f"{up.url}/v1/jobs", json=body, headers=headers, timeout=10)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_one_trace_leads_from_the_caller_through_web_and_worker_to_the_provider(
    tmp_path: Path, collector: Collector
) -> None:
    """Submission, queue, attempt and call in one trace; the provider receives the call's span; nothing has a text."""
    with raw_server(answers) as upstream, _up(tmp_path, collector, upstream) as up:
        job_id = _submit(up, f"00-{TRACE}-{CALLER}-01")
        assert wait_for_end(up, job_id) == "completed"
        eventually(lambda: len(collector.spans) == 4, within_s=15, what="all spans have come")
        (submit,), (queue,), (attempt,), (call,) = map(collector.named, ("submit", "queue", "attempt", "call"))
        assert {span.trace for span in collector.spans} == {TRACE}
        assert (submit.parent, queue.parent, attempt.parent) == (CALLER, submit.id, submit.id)
        assert call.parent == attempt.id
        assert f"traceparent: 00-{TRACE}-{call.id}-01".encode() in upstream.requests[0]
        assert (submit.service, attempt.service) == ("tokentail-web", "tokentail-worker")
        assert {span.facts["tokentail.job_id"] for span in (submit, queue, attempt)} == {job_id}
        assert attempt.facts["tokentail.outcome"] == "completed"
        assert attempt.facts["tokentail.tokens"] == 2
        assert call.facts["gen_ai.request.model"] == "scripted/any"
        assert call.since_ns <= call.events["first token"] <= call.until_ns <= attempt.until_ns
        assert queue.since_ns <= queue.until_ns <= attempt.since_ns + 50_000_000
        assert not any(span.is_error for span in collector.spans)
    sent = b"".join(collector.bodies)
    assert PROMPT.encode() not in sent
    assert b"Hi" not in sent


def test_each_call_of_a_provider_is_a_span_and_a_failed_one_says_its_kind(tmp_path: Path, collector: Collector) -> None:
    """The attempt that went on after it is no failure."""
    with raw_server(refuses, answers) as upstream, _up(tmp_path, collector, upstream) as up:
        assert wait_for_end(up, _submit(up), within_s=20) == "completed"
        eventually(lambda: len(collector.spans) == 5, within_s=15, what="all spans have come")
        first, second = sorted(collector.named("call"), key=lambda span: span.since_ns)
        assert (first.is_error, first.facts["error.type"]) == (True, "overloaded")
        assert not second.is_error
        assert not collector.named("attempt")[0].is_error


GARBAGE = ("garbage", "00-0-0-00", f"00-{'0' * 32}-{'0' * 16}-01", "é" * 40, "x" * 4000)


def test_a_traceparent_that_is_garbage_begins_a_new_trace(tmp_path: Path, collector: Collector) -> None:
    """The job runs as any other."""
    with raw_server(answers, answers) as upstream, _up(tmp_path, collector, upstream) as up:
        for garbage in GARBAGE:
            body = {"prompt": PROMPT, "model": "scripted/any"}
            headers = {"traceparent": garbage.encode()}
            answer = requests.post(f"{up.url}/v1/jobs", json=body, headers=headers, timeout=10)
            assert wait_for_end(up, answer.json()["id"]) == "completed"
        eventually(lambda: len(collector.spans) == 4 * len(GARBAGE), within_s=15, what="all spans have come")
        assert {span.parent for span in collector.named("submit")} == {""}
        assert len({span.trace for span in collector.spans}) == len(GARBAGE)


def test_a_collector_that_is_away_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    """Answers take no longer, and the processes stop in time."""
    away = Collector("http://127.0.0.1:9")
    with raw_server(answers) as upstream, _up(tmp_path, away, upstream) as up:
        for _ in range(5):
            assert wait_for_end(up, _submit(up), within_s=5) == "completed"


def test_without_an_address_nothing_is_traced_and_no_header_is_sent(tmp_path: Path, collector: Collector) -> None:
    """Not even the client's own, which would tell a provider of the caller's systems."""
    nowhere = Collector("")
    with raw_server(answers) as upstream, _up(tmp_path, nowhere, upstream) as up:
        assert wait_for_end(up, _submit(up, f"00-{TRACE}-{CALLER}-01")) == "completed"
        assert b"traceparent" not in upstream.requests[0].lower()
    assert collector.spans == []
