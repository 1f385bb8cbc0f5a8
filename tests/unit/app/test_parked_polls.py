"""The parked polls: woken, out of time, gone, or sent the long way; nobody is answered twice or forgotten."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.access import Caller
from app.calls import wire_calls
from app.read_plane.driver import Driver
from app.read_plane.parked_polls import ParkedPoll, ParkedPolls
from app.read_plane.quick_polls import QuickPolls
from tests.scripted_worker import COMPLETED
from tests.unit.app.test_tails import House, live, run, settled
from tokentail.backend import wire
from tokentail.commands import live_channel
from tokentail.cursor import BEGINNING
from tokentail.settings import load_settings

ANYBODY = Caller("")


class Connection:
    """Remembers how its poll ended."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.long_ways: list[bytes] = []

    def answer_parked(self, answer: bytes, waited_s: float) -> None:
        assert waited_s >= 0
        self.answers.append(answer)

    def go_the_long_way(self, url: bytes) -> None:
        self.long_ways.append(url)


class ParkingHouse(House):
    """With the parked polls of its tails."""

    def __init__(self, client: Any, most_waits: int = 10) -> None:
        super().__init__(client)
        calls = wire_calls(load_settings({}), wire(client, client, load_settings({})))
        quick_polls = QuickPolls(calls.access, calls.polls, self.tails, lambda: self.at_s)
        self.driver = Driver(self.tails, most_waits)
        self.parked = ParkedPolls(quick_polls, self.tails, self.driver, lambda: self.at_s)

    async def park(self, job_id: str, wait_s: int = 20) -> tuple[Connection, ParkedPoll | None]:
        cursor = (await self.tails.read(job_id, BEGINNING, 1000)).cursor
        connection = Connection()
        url = f"/v1/jobs/{job_id}/tokens?cursor={cursor}&wait={wait_s}".encode()
        return connection, self.parked.park(connection, url, ANYBODY)

    async def let_pass(self, seconds: float) -> None:
        """On its own clock; then as long as a tick may take."""
        self.at_s += seconds
        await asyncio.sleep(0.25)


@pytest.fixture
def house() -> Iterator[ParkingHouse]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    first = ParkingHouse(client)
    first.worker.backend.store.read(first.worker.submit(), BEGINNING, 1)  # now it knows the script
    yield first
    client.close()


def test_news_answers_all_who_wait(house: ParkingHouse) -> None:
    """One message wakes each reader once, with the same bytes, and then nobody waits."""

    async def test() -> None:
        job_id = house.follow()
        writer = house.worker.take(job_id)
        await house.read(job_id)
        house.missed()
        house.tails.confirmed(live_channel(job_id))
        await settled()
        connections = [(await house.park(job_id))[0] for _ in range(3)]
        assert house.driver.waits == 3
        house.worker.say(writer, "b", COMPLETED)
        house.pass_on()
        await settled()
        (answer,) = {answer for connection in connections for answer in connection.answers}
        assert b'"done":true' in answer
        assert [len(connection.answers) for connection in connections] == [1, 1, 1]
        assert house.driver.waits == 0

    run(test())


def test_who_waited_in_vain_is_told_so(house: ParkingHouse) -> None:
    """After its time a poll is answered with nothing new, and not before."""

    async def test() -> None:
        job_id = await live(house)
        connection, _ = await house.park(job_id, wait_s=5)
        await house.let_pass(4.9)
        assert not connection.answers
        await house.let_pass(0.3)
        assert len(connection.answers) == 1
        assert b'"tokens":[]' in connection.answers[0]
        assert house.driver.waits == 0

    run(test())


def test_who_is_gone_is_not_answered(house: ParkingHouse) -> None:
    """Neither by news nor at the end of its time; its place is free at once."""

    async def test() -> None:
        job_id = await live(house)
        connection, poll = await house.park(job_id, wait_s=5)
        assert poll is not None
        house.parked.leave(poll)
        assert house.driver.waits == 0
        house.tails.close()
        await house.let_pass(10)
        assert not connection.answers
        assert not connection.long_ways

    run(test())


def test_a_tail_that_is_stale_sends_its_polls_the_long_way(house: ParkingHouse) -> None:
    """When the subscription is lost for longer, Redis is asked, for what is left of the time."""

    async def test() -> None:
        job_id = await live(house)
        connection, _ = await house.park(job_id, wait_s=20)
        house.tails.lost()
        house.at_s += 5
        await asyncio.sleep(1.2)  # a short outage would have disturbed nobody
        assert not connection.answers
        (url,) = connection.long_ways
        left = re.search(rb"&wait=(\d+)$", url)
        assert left
        assert 14 <= int(left[1]) <= 15
        assert house.driver.waits == 0

    run(test())


def test_a_process_that_goes_answers_at_once(house: ParkingHouse) -> None:
    """A stop is no error for who waits, and nobody new waits."""

    async def test() -> None:
        job_id = await live(house)
        connection, _ = await house.park(job_id)
        house.tails.close()
        await settled()
        assert b'"tokens":[]' in connection.answers[0]
        assert (await house.park(job_id))[1] is None

    run(test())


def test_what_the_tail_cannot_answer_is_not_parked(house: ParkingHouse) -> None:
    """A cursor older than what is kept, a stale tail, another's job, one too many: the long way decides."""

    async def test() -> None:
        job_id = await live(house)
        url = f"/v1/jobs/{job_id}/tokens?cursor=0&wait=20".encode()
        assert house.parked.park(Connection(), url, Caller("another")) is None
        job = house.tails.job(job_id)
        assert job is not None
        job.tail.forget()
        assert house.parked.park(Connection(), url, ANYBODY) is None
        for _ in range(10):
            assert (await house.park(job_id))[1] is not None
        assert (await house.park(job_id))[1] is None

    run(test())
