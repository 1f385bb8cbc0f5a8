"""One key's waits: in every call that waits and over both bindings they are bounded, and others' are not touched."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.http_house import HttpHouse, MakeHouse, json_of
from tests.integration.raw_socket import RawSocket
from tests.waiting import eventually

ONE = {"Authorization": "Bearer key-one"}
TWO = {"Authorization": "Bearer key-two"}
KEYS = "key-one,key-two"
LONG_S = 20

Ask = Callable[[HttpHouse, dict[str, str], str], None]


def ask_long_poll(house: HttpHouse, key: dict[str, str], job_id: str, kind: str = "tokens") -> None:
    body = json_of(house.get(f"/v1/jobs/{job_id}/{kind}?wait={LONG_S}", headers=key))
    assert body[kind] == []
    assert body["poll_after_ms"] > 0, "whoever could not wait comes again later"


def ask_events(house: HttpHouse, key: dict[str, str], job_id: str) -> None:
    ask_long_poll(house, key, job_id, "events")


def ask_poll_of_several(house: HttpHouse, key: dict[str, str], job_id: str) -> None:
    (body,) = json_of(house.get(f"/v1/poll?job={job_id}&wait={LONG_S}", headers=key))["jobs"]
    assert body["tokens"] == []
    assert body["poll_after_ms"] > 0


def ask_whole_answer(house: HttpHouse, key: dict[str, str], _job_id: str) -> None:
    answer = house.submit(None, **key, Prefer=f"wait={LONG_S}")
    assert answer.status_code == 202


def ask_stream(house: HttpHouse, key: dict[str, str], job_id: str) -> None:
    with house.get(f"/v1/jobs/{job_id}/stream", headers=key) as answer:
        assert answer.status_code == 200
        assert b"data:" not in answer.data, "it ends, and EventSource comes again"


def ask_raw_stream(house: HttpHouse, key: dict[str, str], _job_id: str) -> None:
    with house.get("/stream?query=why", headers=key) as answer:
        assert answer.status_code == 200
        assert b"data:" not in answer.data


CALLS = {
    "tokens": ask_long_poll,
    "events": ask_events,
    "poll of several": ask_poll_of_several,
    "whole answer": ask_whole_answer,
    "stream": ask_stream,
    "raw stream": ask_raw_stream,
}


def await_room(house: HttpHouse) -> None:
    """A connection that its client has closed counts until the server has heard of that."""
    if (plane := house.plane) is not None:
        eventually(lambda: plane.connections < house.calls.settings.max_connections, what="there is room for one more")


def submitted(house: HttpHouse, key: dict[str, str]) -> str:
    await_room(house)
    return str(json_of(house.submit(None, **key))["id"])


@contextmanager
def one_waits(house: HttpHouse, job_id: str) -> Iterator[ThreadPoolExecutor]:
    """The first key has a poll that waits. At the end every job is cancelled, and nobody waits."""
    with ThreadPoolExecutor(3) as pool:
        await_room(house)
        pool.submit(house.get, f"/v1/jobs/{job_id}/tokens?wait={LONG_S}", headers=ONE)
        try:
            eventually(lambda: house.waits() == 1, what="one waits")
            yield pool
        finally:
            for key in (ONE, TWO):
                await_room(house)
                for job in json_of(house.get("/v1/jobs", headers=key))["jobs"]:
                    await_room(house)
                    house.post(f"/v1/jobs/{job['id']}/cancel", headers=key)


@pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS)
def test_a_key_that_has_its_waits_is_answered_at_once(make_house: MakeHouse, ask: Ask) -> None:
    """And another key waits all the same."""
    house = make_house(TOKENTAIL_API_KEYS=KEYS, TOKENTAIL_MAX_KEY_WAITS="1")
    first, others = submitted(house, ONE), submitted(house, TWO)
    with one_waits(house, first) as pool:
        began = time.monotonic()
        ask(house, ONE, first)
        assert time.monotonic() - began < LONG_S / 2
        assert house.waits() == 1
        pool.submit(ask, house, TWO, others)
        eventually(lambda: house.waits() == 2, what="the other key waits")
    eventually(lambda: house.waits() == 0, what="all are gone")


def test_a_socket_too_many_is_refused(make_house: MakeHouse) -> None:
    """By 429 before the handshake; one that is open counts for as long as it is."""
    house = make_house(TOKENTAIL_API_KEYS=KEYS, TOKENTAIL_MAX_KEY_WAITS="1")
    job_id, others = submitted(house, ONE), submitted(house, TWO)
    path, named = f"/v1/jobs/{job_id}/ws", "Authorization: Bearer key-one"
    if house.plane is None:
        assert house.get(path, headers=ONE).status_code == 400, "WSGI has no WebSockets"
        return
    with RawSocket(house.plane.port, path, named) as socket:
        assert socket.head().startswith(b"HTTP/1.1 101 ")
        assert house.waits() == 1
        with RawSocket(house.plane.port, path, named) as refused:
            assert refused.head().startswith(b"HTTP/1.1 429 ")
        ask_long_poll(house, ONE, job_id)
        with RawSocket(house.plane.port, f"/v1/jobs/{others}/ws", "Authorization: Bearer key-two") as other:
            assert other.head().startswith(b"HTTP/1.1 101 ")
    eventually(lambda: house.waits() == 0, what="both are gone")


def test_a_key_has_half_of_the_places_unless_it_is_told(make_house: MakeHouse) -> None:
    """So one key alone cannot keep all others from waiting."""
    house = make_house(TOKENTAIL_API_KEYS=KEYS, TOKENTAIL_WEB_THREADS="4", TOKENTAIL_MAX_CONNECTIONS="3")
    first, others = submitted(house, ONE), submitted(house, TWO)
    with one_waits(house, first) as pool:
        await_room(house)
        ask_long_poll(house, ONE, first)
        await_room(house)
        pool.submit(ask_long_poll, house, TWO, others)
        eventually(lambda: house.waits() == 2, what="the other key waits")


def test_without_keys_everybody_shares_all_places(make_house: MakeHouse) -> None:
    """There is one client then, as far as anybody can tell."""
    house = make_house(TOKENTAIL_WEB_THREADS="4", TOKENTAIL_MAX_CONNECTIONS="3")
    first = submitted(house, {})
    with one_waits(house, first) as pool:
        pool.submit(house.get, f"/v1/jobs/{first}/tokens?wait={LONG_S}")
        eventually(lambda: house.waits() == 2, what="two wait")
