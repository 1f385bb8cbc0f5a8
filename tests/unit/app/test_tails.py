"""The tails, step by step: every moment at which a connection can go, and what is kept of whom."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import fakeredis
import pytest

from app.read_plane.tails import Tails
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.backend import wire
from tokentail.commands import live_channel
from tokentail.cursor import BEGINNING
from tokentail.errors import JobGone
from tokentail.settings import load_settings

NOW_MS = 1_700_000_000_000


class SlowRedis:
    """Reads at once and answers when it may. It is what coroutines ask; writers have the same store."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.reads = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def pipeline(self, *, transaction: bool) -> "SlowRedis":
        assert not transaction
        self._commands: list[tuple[Any, ...]] = []
        return self

    def execute_command(self, *command: Any) -> None:
        self._commands.append(command)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        self.reads += len(self._commands)
        replies = [self._client.execute_command(*command) for command in self._commands]
        await self.may_answer.wait()
        return replies


class House:
    """Tails without a subscription: the test says what it would."""

    def __init__(self, client: Any, most_bytes: int = 1 << 20) -> None:
        self.at_s = 0.0
        self.now_ms = NOW_MS
        self.redis = SlowRedis(client)
        redis: Any = self.redis
        self.tails = Tails(redis, most_bytes=most_bytes, now_ms=lambda: self.now_ms, clock=lambda: self.at_s)
        self.worker = ScriptedWorker(wire(client, client, load_settings({})))
        self._pubsub = client.pubsub()

    def follow(self) -> str:
        """A job, all of whose messages can be passed on."""
        job_id = self.worker.submit()
        self._pubsub.subscribe(live_channel(job_id))
        self.missed()
        return job_id

    def missed(self) -> list[tuple[str, bytes]]:
        """What was published and is not passed on."""
        found = []
        while (message := self._pubsub.get_message(ignore_subscribe_messages=False)) is not None:
            if message["type"] == "message":
                found.append((message["channel"].decode(), message["data"]))
        return found

    def pass_on(self) -> None:
        for channel, message in self.missed():
            self.tails.heard(channel, message)

    async def read(self, job_id: str) -> list[bytes]:
        return (await self.tails.read(job_id, BEGINNING, 1000)).tokens


@pytest.fixture
def client() -> Iterator[Any]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    worker = ScriptedWorker(wire(client, client, load_settings({})))
    worker.backend.store.read(worker.submit(), BEGINNING, 1)  # now it knows the script
    yield client
    client.close()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def live(house: House) -> str:
    """A job with one token, whose tail is live."""
    job_id = house.follow()
    house.worker.say(house.worker.take(job_id), "a")
    await house.read(job_id)
    house.missed()
    house.tails.confirmed(live_channel(job_id))
    await settled()
    assert house.tails.is_live(job_id)
    return job_id


def test_a_live_tail_asks_redis_for_nothing(client: Any) -> None:
    """Two reads make it: the first reader's, and the one after the confirmation."""

    async def test() -> None:
        house = House(client)
        job_id = await live(house)
        reads = house.redis.reads
        assert [await house.read(job_id) for _ in range(5)] == [[b'"a"']] * 5
        assert house.redis.reads == reads

    run(test())


@pytest.mark.parametrize("is_confirmed_again", [False, True])
def test_a_connection_lost_while_a_tail_is_read_makes_that_read_worth_nothing(
    client: Any, is_confirmed_again: bool
) -> None:
    """Also when the next connection was confirmed before the read was answered: what came between is in neither."""

    async def test() -> None:
        house = House(client)
        job_id = house.follow()
        writer = house.worker.take(job_id)
        await house.read(job_id)
        house.redis.may_answer.clear()
        house.tails.confirmed(live_channel(job_id))
        await settled()
        seen = house.tails.version(job_id)
        waiter = house.tails.waiter([(job_id, seen)])
        house.tails.lost()
        house.worker.say(writer, "nobody hears this")
        house.missed()
        if is_confirmed_again:
            house.tails.confirmed(live_channel(job_id))
        house.redis.may_answer.set()
        await settled()
        assert house.tails.is_live(job_id) is is_confirmed_again
        if is_confirmed_again:
            assert await house.read(job_id) == [b'"nobody hears this"']
            assert waiter is not None
            assert waiter.done()

    run(test())


def test_what_is_published_while_a_tail_is_read_is_not_lost(client: Any) -> None:
    """Its index says whether the read had it."""

    async def test() -> None:
        house = House(client)
        job_id = house.follow()
        writer = house.worker.take(job_id)
        house.worker.say(writer, "before")
        await house.read(job_id)
        house.redis.may_answer.clear()
        house.tails.confirmed(live_channel(job_id))
        await settled()
        house.worker.say(writer, "while")
        house.pass_on()  # with what the read has already
        house.redis.may_answer.set()
        await settled()
        assert house.tails.is_live(job_id)
        reads = house.redis.reads
        assert await house.read(job_id) == [b'"before"', b'"while"']
        assert house.redis.reads == reads

    run(test())


def test_who_waits_from_before_the_news_does_not_wait(client: Any) -> None:
    """A version that is not the tail's any more is news."""

    async def test() -> None:
        house = House(client)
        job_id = await live(house)
        seen = house.tails.version(job_id)
        waiter = house.tails.waiter([(job_id, seen)])
        assert waiter is not None
        client.publish(live_channel(job_id), b"3\n" + b'"b"')
        house.pass_on()
        assert waiter.done()
        assert house.tails.waiter([(job_id, seen)]) is None
        assert house.tails.waiter([(job_id, house.tails.version(job_id))]) is not None

    run(test())


def test_a_gap_is_read_again(client: Any) -> None:
    """A message that follows one that did not come."""

    async def test() -> None:
        house = House(client)
        job_id = house.follow()
        writer = house.worker.take(job_id)
        await house.read(job_id)
        house.tails.confirmed(live_channel(job_id))
        await settled()
        house.worker.say(writer, "missed")
        house.missed()
        house.worker.say(writer, "heard")
        house.pass_on()
        await settled()
        assert house.tails.is_live(job_id)
        assert await house.read(job_id) == [b'"missed"', b'"heard"']

    run(test())


def test_an_ended_job_is_answered_from_memory_until_it_expires(client: Any) -> None:
    """Its time is known by then; after it nothing of it is shown."""

    async def test() -> None:
        house = House(client)
        job_id = house.follow()
        house.worker.answer(job_id, "a")
        await house.read(job_id)
        house.tails.confirmed(live_channel(job_id))
        await settled()
        batch = house.tails.read_now(job_id, BEGINNING, 10)
        assert batch is not None
        assert batch.is_done
        assert batch.expires_at_ms is not None
        house.now_ms = batch.expires_at_ms
        assert house.tails.read_now(job_id, BEGINNING, 10) is None
        assert len(house.tails) == 0

    run(test())


def test_a_deleted_job_is_gone_at_once(client: Any) -> None:
    """Who waited is woken, and is told; memory has nothing of it."""

    async def test() -> None:
        house = House(client)
        job_id = await live(house)
        waiter = house.tails.waiter([(job_id, house.tails.version(job_id))])
        house.worker.backend.store.delete(job_id, NOW_MS)
        house.pass_on()
        assert house.tails.read_now(job_id, BEGINNING, 10) is None
        await settled()
        assert waiter is not None
        assert waiter.done()
        assert len(house.tails) == 0
        with pytest.raises(JobGone):
            await house.read(job_id)

    run(test())


def test_tails_that_nobody_reads_are_dropped_and_memory_is_bounded(client: Any) -> None:
    """Those that were not read for longest give up their elements first; who waits keeps a tail."""

    async def test() -> None:
        house = House(client, most_bytes=16_000)
        jobs = []
        for n in range(40):
            house.at_s = n / 100
            job_id = house.follow()
            house.worker.answer(job_id, "x" * 400)
            await house.read(job_id)
            house.tails.confirmed(live_channel(job_id))
            await settled()
            jobs.append(job_id)
        house.tails.tend()
        kept = [job.tail.size for job_id in jobs if (job := house.tails.job(job_id))]
        assert len(kept) == 40
        assert 0 < sum(kept) <= 16_000
        assert kept[0] == 0 < kept[-1]
        waiter = house.tails.waiter([(jobs[0], house.tails.version(jobs[0]))])
        house.at_s = 20.0
        house.tails.tend()
        assert len(house.tails) == 1
        assert waiter is not None
        house.tails.leave([jobs[0]], waiter)
        house.at_s = 40.0
        house.tails.tend()
        assert len(house.tails) == 0

    run(test())


def test_closing_wakes_everybody(client: Any) -> None:
    """And nothing is followed any more."""

    async def test() -> None:
        house = House(client)
        job_id = await live(house)
        waiters = [house.tails.waiter([(job_id, house.tails.version(job_id))]) for _ in range(3)]
        house.tails.close()
        assert all(waiter is not None and waiter.done() for waiter in waiters)
        await house.read(house.follow())
        assert len(house.tails) == 1

    run(test())


def test_a_job_that_is_written_to_the_end_needs_three_reads(client: Any) -> None:
    """The first, the one that makes it live, and one after the end, for its expiry; a claim is another."""

    async def test() -> None:
        house = House(client)
        job_id = house.follow()
        await house.read(job_id)
        house.tails.confirmed(live_channel(job_id))
        await settled()
        writer = house.worker.take(job_id)
        house.pass_on()
        await settled()
        for said in ("a", "b", "c"):
            house.worker.say(writer, said)
            house.pass_on()
            await settled()
        house.worker.say(writer, COMPLETED)
        house.pass_on()
        await settled()
        assert await house.read(job_id) == [b'"a"', b'"b"', b'"c"']
        assert house.redis.reads == 4

    run(test())
