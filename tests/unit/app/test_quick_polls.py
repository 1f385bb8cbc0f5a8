"""The quick polls: what was answered a moment ago is answered again, and what is kept for that is little."""

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.access import Caller
from app.calls import wire_calls
from app.read_plane.quick_polls import QuickPolls
from app.read_plane.tails import FollowedJob
from tests.unit.app.test_tails import House, run, settled
from tokentail.backend import wire
from tokentail.commands import live_channel
from tokentail.cursor import BEGINNING
from tokentail.settings import load_settings

ANYBODY = Caller("")


class PollingHouse(House):
    """With the quick polls of its tails."""

    def __init__(self, client: Any) -> None:
        super().__init__(client, most_bytes=64 << 20)
        calls = wire_calls(load_settings({}), wire(client, client, load_settings({})))
        self.quick_polls = QuickPolls(calls.access, calls.polls, self.tails, lambda: self.at_s)

    async def live_with(self, *tokens: str) -> str:
        """A job with these tokens, whose tail is live."""
        job_id = self.follow()
        self.worker.say(self.worker.take(job_id), *tokens)
        await self.read(job_id)
        self.missed()
        self.tails.confirmed(live_channel(job_id))
        await settled()
        return job_id

    def poll(self, job_id: str, cursor: str = "0", caller: Caller = ANYBODY) -> bytes | None:
        return self.quick_polls.answer(f"/v1/jobs/{job_id}/tokens?cursor={cursor}".encode(), caller)


@pytest.fixture
def house() -> Iterator[PollingHouse]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    first = PollingHouse(client)
    first.worker.backend.store.read(first.worker.submit(), BEGINNING, 1)  # now it knows the script
    yield first
    client.close()


def followed_jobs() -> int:
    """How many are in memory, whoever holds them."""
    gc.collect()
    return sum(isinstance(found, FollowedJob) for found in gc.get_objects())


def test_who_asks_the_same_at_once_gets_the_same_bytes(house: PollingHouse) -> None:
    """Until there is news, for a moment, and for the job's owner only."""

    async def test() -> None:
        job_id = await house.live_with("a")
        first = house.poll(job_id)
        assert first is not None
        assert house.poll(job_id) is first
        assert house.poll(job_id, caller=Caller("another")) is None
        house.at_s += 0.2
        assert house.poll(job_id) is not first, "the advice when to come again changes with time"

    run(test())


def test_news_end_what_was_kept(house: PollingHouse) -> None:
    """Nobody gets an answer without the token that is there."""

    async def test() -> None:
        job_id = house.follow()
        writer = house.worker.take(job_id)
        await house.read(job_id)
        house.missed()
        house.tails.confirmed(live_channel(job_id))
        await settled()
        assert b'"tokens":[]' in (house.poll(job_id) or b"")
        house.worker.say(writer, "a")
        house.pass_on()
        assert b'"tokens":["a"]' in (house.poll(job_id) or b"")

    run(test())


def test_a_tail_that_was_dropped_is_in_memory_no_more(house: PollingHouse) -> None:
    """Though its answers may be kept a while longer; and who asks again is not answered with them."""

    async def test() -> None:
        before = followed_jobs()
        job_ids = [await house.live_with("a") for _ in range(5)]
        assert all(house.poll(job_id) for job_id in job_ids)
        assert followed_jobs() - before == 5
        house.at_s += 11
        house.tails.tend()
        assert [house.poll(job_id) for job_id in job_ids] == [None] * 5
        assert followed_jobs() == before

    run(test())


@pytest.mark.parametrize(("size", "is_kept"), [(50, True), (100, False)])
def test_what_is_kept_of_answers_is_bounded(house: PollingHouse, size: int, is_kept: bool) -> None:
    """Eight mebibytes in all, and none that is large by itself."""

    async def test() -> None:
        job_id = await house.live_with(*["x" * 1000] * size)
        assert (house.poll(job_id) is house.poll(job_id)) == is_kept
        tracemalloc.start()
        try:
            for n in range(300):
                assert len(house.poll(job_id, f"z{n}.1") or b"") > size * 1000
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < (9 << 20 if is_kept else 1 << 20)

    run(test())
