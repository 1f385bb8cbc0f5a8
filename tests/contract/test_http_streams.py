"""Server-Sent Events over both bindings, read by a client that is not ours."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sseclient import SSEClient

from tests.http_harness import HttpHarness, assert_problem, json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End, Reasoning

SAID = ("Hel", "lo\r\nyou", "a\rb", "\n", "\n\n", "[DONE]", "data: x", ": no comment", "🙂\u2028\x85", "", " ", "id: 1")


def events(harness: HttpHarness, path: str, last_event_id: str | None = None) -> list[Any]:
    """All events of a stream, until it ends itself."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with harness.get(path, headers=headers) as answer:
        assert answer.status_code == 200, answer.data
        assert answer.content_type == "text/event-stream; charset=utf-8"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Cache-Control"] == "no-store, no-transform"
        return list(SSEClient(iter([answer.data])).events())


def as_shown(text: str) -> str:
    """What is left of line ends in an event of text."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def test_every_event_is_a_polls_body_with_its_cursor_as_id(harness: HttpHarness) -> None:
    """A stream that is opened with any of the ids gives exactly what follows it, whatever the tokens are."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, *SAID)
    path = f"/v1/jobs/{job_id}/stream"
    seen = [event for event in events(harness, f"{path}?limit=2") if event.data]
    bodies = [json.loads(event.data) for event in seen]
    assert [body["cursor"] for body in bodies] == [event.id for event in seen]
    assert [token for body in bodies for token in body["tokens"]] == list(SAID)
    assert [body["done"] for body in bodies] == [False] * (len(bodies) - 1) + [True]
    for n, event in enumerate(seen[:-1]):
        rest = [json.loads(again.data) for again in events(harness, path, event.id) if again.data]
        assert [t for body in rest for t in body["tokens"]] == [t for body in bodies[n + 1 :] for t in body["tokens"]]
    over = harness.get(path, headers={"Last-Event-ID": seen[-1].id})
    assert (over.status_code, over.data) == (204, b"")
    assert events(harness, f"{path}?cursor={seen[-1].id}")[-1].id == seen[-1].id, "`cursor=` shows the end once more"


def test_a_stream_begins_with_when_to_come_again(harness: HttpHarness) -> None:
    """A stream begins with `retry`. It begins with no event: some clients pass one without data, and stumble on it.

    Each event has its data first and its id last: some clients take an id at once, and one whose event was cut off
    would make them resume behind it.
    """
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a")
    assert harness.get(f"/v1/jobs/{job_id}/stream").data.startswith(b"retry: 1000\ndata: {")
    assert re.fullmatch(rb"retry: 1000\n(?:data: {.*}\nid: [^\n]+\n\n)+", harness.get(f"/v1/jobs/{job_id}/stream").data)


def test_a_stream_of_events_has_them_all(harness: HttpHarness) -> None:
    """With `events=1` each is a body of `/events`."""
    job_id = harness.submitted()
    harness.worker.say(harness.worker.take(job_id), Reasoning("hm"), "a", COMPLETED)
    last = json.loads(events(harness, f"/v1/jobs/{job_id}/stream?events=1")[-1].data)
    assert [event if isinstance(event, str) else event["type"] for event in last["events"]] == [
        *("start", "reasoning", "a", "end")
    ]


def test_a_raw_stream_has_the_texts_and_resumes_at_each(harness: HttpHarness) -> None:
    """An event a token, its line ends those of events; a token that says [DONE] is not the end; it ends with [DONE]."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, *SAID)
    seen = [event for event in events(harness, "/stream", f"{job_id}:0") if event.data or event.id != f"{job_id}:0"]
    said = [as_shown(text) for text in SAID]
    at = said.index("[DONE]")
    assert [event.data for event in seen] == [*said[:at], "[DO", "NE]", *said[at + 1 :], "[DONE]"]
    for n, event in enumerate(seen[:-1]):
        if event.data == "[DO":
            continue  # the whole token is behind its id
        rest = events(harness, "/stream", event.id)
        assert [again.data for again in rest if again.id != event.id] == [again.data for again in seen[n + 1 :]]
    assert harness.get("/stream", headers={"Last-Event-ID": seen[-1].id}).status_code == 204


def test_a_raw_stream_begins_with_an_id_that_polyfills_keep(harness: HttpHarness) -> None:
    """The first event has an id and empty data, and is of the type `job`: it adds nothing to the text.

    Before it come 2 KiB that fill what some proxies gather.
    """
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a")
    opening = f":{' ' * 2048}\nretry: 1000\nevent: job\ndata: \nid: {job_id}:0\n\ndata: a\nid: {job_id}:".encode()
    assert harness.get("/stream", headers={"Last-Event-ID": f"{job_id}:0"}).data.startswith(opening)


def test_a_raw_stream_tells_why_a_job_failed(harness: HttpHarness) -> None:
    """By an event of another type, before the end."""
    job_id = harness.submitted()
    failure = Failure(FailureKind.OVERLOADED, "Too\nmuch.", is_retryable=True)
    harness.worker.say(harness.worker.take(job_id), "a", End(Status.FAILED, error=failure))
    *_, error, done = events(harness, "/stream", f"{job_id}:0")
    assert (error.event, json.loads(error.data)) == (
        "error",
        {"type": "overloaded", "message": "Too\nmuch.", "job_id": job_id},
    )
    assert done.data == "[DONE]"


@pytest.mark.parametrize("is_raw", [False, True])
def test_a_new_generation_in_mid_stream(harness: HttpHarness, is_raw: bool) -> None:
    """Bodies say `reset` and go on; raw text cannot, and ends with an error that says so."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "old")
    with ThreadPoolExecutor(1) as pool:
        if is_raw:
            reader = pool.submit(events, harness, "/stream", f"{job_id}:0")
        else:
            reader = pool.submit(events, harness, f"/v1/jobs/{job_id}/stream")
        eventually(lambda: harness.waits() == 1)
        writer.start("second", "demo", "demo")
        harness.worker.say(writer, "new", COMPLETED)
        seen = [event for event in reader.result(10) if event.data]
    if is_raw:
        assert [event.event for event in seen] == ["message", "error"]
        assert json.loads(seen[-1].data)["type"] == "reset"
        told = harness.get("/stream", headers={"Last-Event-ID": seen[-1].id})
        assert told.status_code == 204, "EventSource must not reconnect"
        away = [event for event in events(harness, "/stream", seen[0].id) if event.data]
        assert [event.event for event in away] == ["error"], "a reader that was away meanwhile gets the error, too"
        assert away[0].id == seen[-1].id
    else:
        bodies = [json.loads(event.data) for event in seen]
        text: list[str] = []
        for body in bodies:
            text = body["tokens"] if body["reset"] else text + body["tokens"]
        assert text == ["new"]
        assert any(body["reset"] for body in bodies)


def test_a_raw_stream_that_has_shown_nothing_goes_on_with_a_new_generation(harness: HttpHarness) -> None:
    """There is nothing to take back."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, Reasoning("hm"))
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(events, harness, "/stream", f"{job_id}:0")
        eventually(lambda: harness.waits() == 1)
        writer.start("second", "demo", "demo")
        harness.worker.say(writer, "new", COMPLETED)
        assert [event.data for event in reader.result(10) if event.data] == ["new", "[DONE]"]


@pytest.mark.parametrize("limit", [1, 1000])
@pytest.mark.parametrize("wait_s", [None, 0, 20])
def test_a_reader_of_tokens_gets_past_any_number_of_elements_that_are_none(
    harness: HttpHarness, wait_s: int | None, limit: int
) -> None:
    """Of a long thought each answer shows nothing but a cursor to go on from, and nobody waits for what is there."""
    job_id = harness.submitted()
    harness.worker.say(harness.worker.take(job_id), *[Reasoning("hm")] * (5 * limit // 2), "Hello", COMPLETED)
    bodies: list[dict[str, Any]] = []
    if wait_s is None:
        seen = events(harness, f"/v1/jobs/{job_id}/stream?limit={limit}")
        bodies = [json.loads(event.data) for event in seen if event.data]
    while not bodies or not bodies[-1]["done"]:
        cursor = bodies[-1]["cursor"] if bodies else "0"
        bodies.append(harness.poll(job_id, f"cursor={cursor}&limit={limit}" + (f"&wait={wait_s}" if wait_s else "")))
        assert bodies[-1]["poll_after_ms"] == 0
    assert [token for body in bodies for token in body["tokens"]] == ["Hello"]
    assert len(bodies) == (5 if limit == 1 else 3)


def test_one_poll_of_many_jobs_gets_past_a_long_thought_too(harness: HttpHarness) -> None:
    """A poll of many jobs whose scan ends in a long thought answers at once, with the cursor behind what it scanned."""
    job_id = harness.submitted()
    harness.worker.say(harness.worker.take(job_id), *[Reasoning("hm")] * 2500)
    answer = harness.get(f"/v1/poll?job={job_id}:0&wait=20").json
    assert answer is not None
    assert (answer["jobs"][0]["tokens"], answer["jobs"][0]["poll_after_ms"]) == ([], 0)
    assert answer["jobs"][0]["cursor"].endswith(".1001")


def test_who_asks_a_stream_the_wrong_way_is_told(harness: HttpHarness) -> None:
    """As by a poll, before anything is sent."""
    job_id = harness.submitted()
    assert_problem(harness.get(f"/v1/jobs/{job_id}/stream?cursor=x"), 400)
    assert_problem(harness.get(f"/v1/jobs/{job_id}/stream?events=2"), 422)
    assert_problem(harness.get(f"/v1/jobs/{'0' * 26}/stream"), 404)
    harness.client.delete(f"/v1/jobs/{job_id}")
    assert_problem(harness.get(f"/v1/jobs/{job_id}/stream"), 410)


def test_a_submitting_stream_honours_an_idempotency_key(harness: HttpHarness) -> None:
    """A proxy that adds a key to each request may repeat a stream's: both are the same job."""
    job_id = json_of(harness.submit({"prompt": "why"}, Idempotency_Key="k"))["id"]
    harness.worker.answer(job_id, "a")
    headers = {"Accept": "text/event-stream", "Idempotency-Key": "k"}
    with harness.get("/stream?query=why", headers=headers) as answer:
        assert (answer.status_code, answer.headers["Tokentail-Job"]) == (200, job_id)
        assert b"data: a\n" in answer.data
    assert_problem(harness.get("/stream?query=what", headers=headers), 409)


def test_head_of_a_submitting_stream_makes_no_job(harness: HttpHarness) -> None:
    """HEAD of a submitting stream is refused with 405, because its answer could not name the job."""
    answer = harness.client.open("/stream?query=why", method="HEAD")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert harness.backend.admission.open_jobs() == []
