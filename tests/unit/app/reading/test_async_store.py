"""Reads that gather while Redis does not answer."""

import asyncio
from typing import Any

import redis

from app.reading.async_store import AsyncStore
from tokentail.errors import StoreUnavailable
from tokentail.log.cursor import BEGINNING


class SilentRedis:
    """A Redis of which each round trip ends in a timeout, once the test lets it."""

    def __init__(self) -> None:
        self.round_trips = 0
        self.times_out = asyncio.Event()

    def pipeline(self, *, transaction: bool) -> "SilentRedis":
        assert not transaction
        return self

    def execute_command(self, *_: Any) -> None:
        """Accepts the command."""

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        self.round_trips += 1
        await self.times_out.wait()
        raise redis.exceptions.TimeoutError


def test_a_read_waits_for_no_more_than_the_round_trip_under_way_when_redis_does_not_answer() -> None:
    """However many reads gather while Redis is silent, all fail with the first round trip, and the next asks again.

    Otherwise each would also wait for the timeouts of all reads before it: minutes, for thousands of readers.
    """

    async def ask() -> tuple[list[Any], int, int]:
        client: Any = SilentRedis()
        store = AsyncStore(client)
        reads = [asyncio.create_task(store.read(f"{n:026}", BEGINNING, 10)) for n in range(500)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reads.append(asyncio.create_task(store.read("later", BEGINNING, 10)))
        await asyncio.sleep(0)
        client.times_out.set()
        failures = await asyncio.gather(*reads, return_exceptions=True)
        after_first = client.round_trips
        failures += await asyncio.gather(store.read("again", BEGINNING, 10), return_exceptions=True)
        return failures, after_first, client.round_trips

    failures, after_first, in_all = asyncio.run(ask())
    assert len(failures) == 502
    assert {type(failure) for failure in failures} == {StoreUnavailable}
    assert (after_first, in_all) == (1, 2)
