"""Readers of a job whose channel or keys hold garbage are answered, over each binding; others notice nothing."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.sync.client import connect as connect_socket

from tests.garbage import LOG, MESSAGES, RECORD, Plant
from tests.http_harness import HttpHarness, json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.log.writer import LogWriter
from tokentail.redis.keys import job_keys, live_channel

WITHIN_S = 15.0


def taken(harness: HttpHarness) -> tuple[str, LogWriter]:
    job_id = harness.submitted()
    harness.backend.queue.discard(job_id, 1)  # as a worker takes it
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "a")
    return job_id, writer


def by_short_polls(harness: HttpHarness, job_id: str) -> dict[str, Any]:
    return _polled(harness, job_id, "")


def by_long_polls(harness: HttpHarness, job_id: str) -> dict[str, Any]:
    return _polled(harness, job_id, "&wait=10")


def _polled(harness: HttpHarness, job_id: str, wait: str) -> dict[str, Any]:
    """The last body, its tokens all that were shown; what is refused for a moment is asked again, as clients do."""
    cursor = "0"
    tokens: list[str] = []
    last: list[dict[str, Any]] = []

    def is_done() -> bool:
        nonlocal cursor
        answer = harness.get(f"/v1/jobs/{job_id}/tokens?cursor={cursor}{wait}")
        if answer.status_code != 200:
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text
            return False
        body = json_of(answer)
        if body["reset"]:
            tokens.clear()
        tokens.extend(body["tokens"])
        cursor = body["cursor"]
        last[:] = [body]
        return bool(body["done"])

    eventually(is_done, within_s=WITHIN_S, what="a poll is answered with done")
    return {**last[0], "tokens": tokens}


def by_events(harness: HttpHarness, job_id: str) -> dict[str, Any]:
    """As EventSource follows: a stream that ends without `done` is opened anew, with the last id."""
    tokens: list[str] = []
    last_id = "0"
    bodies: list[dict[str, Any]] = []

    def is_done() -> bool:
        nonlocal last_id
        answer = harness.get(f"/v1/jobs/{job_id}/stream", headers={"Last-Event-ID": last_id})
        if answer.status_code == 503:
            return False
        for line in answer.text.splitlines():
            if line.startswith("id: "):
                last_id = line[4:]
            elif line.startswith("data: "):
                body = json.loads(line[6:])
                tokens.extend(body["tokens"])
                bodies.append(body)
        return bool(bodies) and bool(bodies[-1]["done"])

    eventually(is_done, within_s=WITHIN_S, what="a stream ends with done")
    return {**bodies[-1], "tokens": tokens}


WAYS = [by_short_polls, by_long_polls, by_events]


@pytest.fixture
def pool(harness: HttpHarness) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads
        harness.end_waits()  # for readers of a job that did not end, when a test has failed


@pytest.mark.parametrize("follow", WAYS)
@pytest.mark.parametrize("message", [pytest.param(message, id=name) for name, message in MESSAGES.items()])
def test_whatever_comes_on_the_channel_readers_get_the_log(
    harness: HttpHarness,
    pool: ThreadPoolExecutor,
    message: bytes,
    follow: Callable[[HttpHarness, str], dict[str, Any]],
) -> None:
    """A message that cannot be understood is a reason to read; every token arrives, once."""
    job_id, writer = taken(harness)
    other, other_writer = taken(harness)
    readers = [pool.submit(follow, harness, each) for each in (job_id, other)]
    if follow is not by_short_polls:
        eventually(lambda: harness.is_followed(job_id) and harness.is_followed(other), within_s=WITHIN_S)
    for token in ("b", "c"):
        harness.backend.store.client.publish(live_channel(job_id), message)
        harness.worker.say(writer, token)
        harness.worker.say(other_writer, token)
    harness.worker.say(writer, COMPLETED)
    harness.worker.say(other_writer, COMPLETED)
    for reader in readers:
        body = reader.result(WITHIN_S)
        assert (body["tokens"], body["status"]) == (["a", "b", "c"], "completed")


SOME = {
    name: {**RECORD, **LOG}[name]
    for name in (
        *("record: other type", "status: not a number", "tokens: not UTF-8", "base: empty", "created_at: 10 MB"),
        *("log: other type", "first element: not JSON", "middle element: half a token", "pushed: 10 MB"),
        "pushed: an end without a status",
    )
}


@pytest.mark.parametrize("follow", WAYS)
@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in SOME.items()])
def test_readers_of_a_spoilt_job_are_answered_with_its_end(
    harness: HttpHarness, pool: ThreadPoolExecutor, plant: Plant, follow: Callable[[HttpHarness, str], dict[str, Any]]
) -> None:
    """Waiting readers are woken, new polls are asked to retry, and the end has the reason; another job goes on."""
    job_id, writer = taken(harness)
    other, other_writer = taken(harness)
    harness.worker.say(writer, "b", "c")
    readers = [pool.submit(follow, harness, each) for each in (job_id, other)]
    if follow is not by_short_polls:
        eventually(lambda: harness.is_followed(job_id) and harness.is_followed(other), within_s=WITHIN_S)
    plant(harness.backend.store.client, job_id)
    harness.get(f"/v1/jobs/{job_id}/text")
    harness.backend.sweeper.sweep_in_turn()
    if not readers[0].done():
        harness.backend.sweeper.sweep()
    harness.worker.say(other_writer, "b", COMPLETED)
    spoilt, whole = (reader.result(WITHIN_S) for reader in readers)
    assert (spoilt["status"], spoilt["error"]["type"], spoilt["error"]["is_retryable"]) == ("failed", "internal", True)
    assert (whole["tokens"], whole["status"]) == (["a", "b"], "completed")


def test_a_socket_outlives_garbage_and_brings_the_end(harness: HttpHarness) -> None:
    """Over the read plane, which alone has sockets."""
    if harness.plane is None:
        pytest.skip("Flask has no sockets")
    job_id, writer = taken(harness)
    uri = f"ws://127.0.0.1:{harness.plane.port}/v1/jobs/{job_id}/ws?cursor=0"
    with connect_socket(uri, proxy=None) as socket:
        tokens = json.loads(socket.recv(timeout=WITHIN_S))["tokens"]
        eventually(lambda: harness.is_followed(job_id))
        for message in MESSAGES.values():
            harness.backend.store.client.publish(live_channel(job_id), message)
        harness.worker.say(writer, "b")
        while len(tokens) < 2:
            tokens += json.loads(socket.recv(timeout=WITHIN_S))["tokens"]
        harness.backend.store.client.set(job_keys(job_id)[0], "not a hash")
        harness.backend.sweeper.sweep()
        body = json.loads(socket.recv(timeout=WITHIN_S))
    assert tokens == ["a", "b"]
    assert (body["status"], body["done"], body["error"]["type"]) == ("failed", True, "internal")


def test_one_spoilt_job_hides_no_other_in_lists_and_joint_polls(harness: HttpHarness) -> None:
    """A list leaves it out, and a poll of several gives its problem in its own place."""
    spoilt, other = harness.submitted(), harness.submitted()
    harness.backend.store.client.set(job_keys(spoilt)[0], "not a hash")
    listed = json_of(harness.get("/v1/jobs"))["jobs"]
    assert [job["id"] for job in listed] == [other]
    answer = harness.get(f"/v1/poll?job={spoilt}&job={other}")
    first, second = json_of(answer)["jobs"]
    assert (first["problem"]["status"], second["status"]) == (503, "queued")


def test_a_job_of_a_later_format_is_asked_again_later(harness: HttpHarness) -> None:
    """A newer process can answer: 503 with Retry-After, and the message says so."""
    job_id, _ = taken(harness)
    harness.backend.store.client.hset(job_keys(job_id)[0], "format", 2)
    harness.backend.store.client.publish(live_channel(job_id), "9 2\nin another way")
    answer = harness.get(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "newer version" in answer.text
