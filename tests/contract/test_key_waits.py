"""One key's waits: in every call that waits and over both bindings they are bounded, and others' are not touched."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.http_harness import HttpHarness, MakeHarness, json_of
from tests.integration.raw_socket import RawSocket
from tests.waiting import eventually

ONE = {"Authorization": "Bearer key-one"}
TWO = {"Authorization": "Bearer key-two"}
KEYS = "key-one,key-two"
LONG_S = 20

Ask = Callable[[HttpHarness, dict[str, str], str], None]


def ask_long_poll(harness: HttpHarness, key: dict[str, str], job_id: str, kind: str = "tokens") -> None:
    body = json_of(harness.get(f"/v1/jobs/{job_id}/{kind}?wait={LONG_S}", headers=key))
    assert body[kind] == []
    assert body["poll_after_ms"] > 0, "a poll that could not wait names a pause before the next"


def ask_events(harness: HttpHarness, key: dict[str, str], job_id: str) -> None:
    ask_long_poll(harness, key, job_id, "events")


def ask_poll_of_several(harness: HttpHarness, key: dict[str, str], job_id: str) -> None:
    (body,) = json_of(harness.get(f"/v1/poll?job={job_id}&wait={LONG_S}", headers=key))["jobs"]
    assert body["tokens"] == []
    assert body["poll_after_ms"] > 0


def ask_whole_answer(harness: HttpHarness, key: dict[str, str], _job_id: str) -> None:
    answer = harness.submit(None, **key, Prefer=f"wait={LONG_S}")
    assert answer.status_code == 202


def ask_stream(harness: HttpHarness, key: dict[str, str], job_id: str) -> None:
    with harness.get(f"/v1/jobs/{job_id}/stream", headers=key) as answer:
        assert answer.status_code == 200
        assert b"data:" not in answer.data, "it ends, and EventSource reconnects"


def ask_raw_stream(harness: HttpHarness, key: dict[str, str], _job_id: str) -> None:
    with harness.get("/stream?query=why", headers={**key, "Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        data = [line for line in answer.data.splitlines() if line.startswith(b"data:")]
        assert data == [b"data: "], "only the event with the job's id: the stream ends, and EventSource reconnects"


def ask_durable(harness: HttpHarness, key: dict[str, str], job_id: str, live: str = "long-poll") -> None:
    with harness.get(f"/v1/jobs/{job_id}/durable/text?offset=-1&live={live}", headers=key) as answer:
        answer.get_data()  # to its end
    assert answer.status_code == 429, "clients of that protocol would ask again without a pause"
    assert int(answer.headers["Retry-After"]) > 0


def ask_durable_stream(harness: HttpHarness, key: dict[str, str], job_id: str) -> None:
    ask_durable(harness, key, job_id, "sse")


CALLS = {
    "tokens": ask_long_poll,
    "events": ask_events,
    "poll of several": ask_poll_of_several,
    "whole answer": ask_whole_answer,
    "stream": ask_stream,
    "raw stream": ask_raw_stream,
    "durable long poll": ask_durable,
    "durable stream": ask_durable_stream,
}


def await_room(harness: HttpHarness) -> None:
    """A connection that its client has closed counts until the server learns of that."""
    if (plane := harness.plane) is not None:
        eventually(
            lambda: plane.connections < harness.calls.settings.max_connections, what="there is room for one more"
        )


def submitted(harness: HttpHarness, key: dict[str, str]) -> str:
    await_room(harness)
    return str(json_of(harness.submit(None, **key))["id"])


@contextmanager
def one_waits(harness: HttpHarness, job_id: str) -> Iterator[ThreadPoolExecutor]:
    """The first key has a poll that waits. At the end every job is cancelled, and nobody waits."""
    with ThreadPoolExecutor(3) as pool:
        await_room(harness)
        pool.submit(harness.get, f"/v1/jobs/{job_id}/tokens?wait={LONG_S}", headers=ONE)
        try:
            # Until the subscription is confirmed a poll reads once more, and has no place meanwhile.
            eventually(lambda: harness.is_live(job_id) and harness.waits() == 1, what="one waits")
            yield pool
        finally:
            for key in (ONE, TWO):
                await_room(harness)
                for job in json_of(harness.get("/v1/jobs", headers=key))["jobs"]:
                    await_room(harness)
                    harness.post(f"/v1/jobs/{job['id']}/cancel", headers=key)


@pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS)
def test_a_key_that_has_its_waits_is_answered_at_once(make_harness: MakeHarness, ask: Ask) -> None:
    """A key that has used up its waits is answered at once, while another key waits as usual."""
    harness = make_harness(TOKENTAIL_API_KEYS=KEYS, TOKENTAIL_MAX_KEY_WAITS="1")
    first, others = submitted(harness, ONE), submitted(harness, TWO)
    with one_waits(harness, first) as pool:
        began = time.monotonic()
        ask(harness, ONE, first)
        assert time.monotonic() - began < LONG_S / 2
        assert harness.waits() == 1
        pool.submit(ask, harness, TWO, others)
        eventually(lambda: harness.waits() == 2, what="the other key waits")
    eventually(lambda: harness.waits() == 0, what="all are gone")


def test_a_socket_too_many_is_refused(make_harness: MakeHarness) -> None:
    """By 429 before the handshake; one that is open counts for as long as it is."""
    harness = make_harness(TOKENTAIL_API_KEYS=KEYS, TOKENTAIL_MAX_KEY_WAITS="1")
    job_id, others = submitted(harness, ONE), submitted(harness, TWO)
    path, named = f"/v1/jobs/{job_id}/ws", "Authorization: Bearer key-one"
    if harness.plane is None:
        assert harness.get(path, headers=ONE).status_code == 400, "WSGI has no WebSockets"
        return
    with RawSocket(harness.plane.port, path, named) as socket:
        assert socket.head().startswith(b"HTTP/1.1 101 ")
        assert harness.waits() == 1
        with RawSocket(harness.plane.port, path, named) as refused:
            assert refused.head().startswith(b"HTTP/1.1 429 ")
        ask_long_poll(harness, ONE, job_id)
        with RawSocket(harness.plane.port, f"/v1/jobs/{others}/ws", "Authorization: Bearer key-two") as other:
            assert other.head().startswith(b"HTTP/1.1 101 ")
    eventually(lambda: harness.waits() == 0, what="both are gone")


def test_a_key_has_half_of_the_places_unless_it_is_told(make_harness: MakeHarness) -> None:
    """One key alone cannot keep all others from waiting, unless a setting gives it more."""
    harness = make_harness(TOKENTAIL_API_KEYS=KEYS, TOKENTAIL_WEB_THREADS="4", TOKENTAIL_MAX_CONNECTIONS="3")
    first, others = submitted(harness, ONE), submitted(harness, TWO)
    with one_waits(harness, first) as pool:
        await_room(harness)
        ask_long_poll(harness, ONE, first)
        await_room(harness)
        pool.submit(ask_long_poll, harness, TWO, others)
        eventually(lambda: harness.waits() == 2, what="the other key waits")


def test_without_keys_everybody_shares_all_places(make_harness: MakeHarness) -> None:
    """There is one client then, as far as anybody can tell."""
    harness = make_harness(TOKENTAIL_WEB_THREADS="4", TOKENTAIL_MAX_CONNECTIONS="3")
    first = submitted(harness, {})
    with one_waits(harness, first) as pool:
        pool.submit(harness.get, f"/v1/jobs/{first}/tokens?wait={LONG_S}")
        eventually(lambda: harness.waits() == 2, what="two wait")
