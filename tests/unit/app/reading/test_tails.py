"""The tails, step by step: every moment at which a connection can go, and what is kept of whom."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import fakeredis
import pytest

from app.reading.tails import Tails
from tests.held import held_by
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.errors import JobGone
from tokentail.log.cursor import BEGINNING
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import wire
from tokentail.redis.keys import live_channel

NOW_MS = 1_700_000_000_000


class SlowRedis:
    """Reads at once and answers when it may. It is what coroutines ask; writers have the same store."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.views = 0
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
        self.views += len(self._commands)
        replies = [self._client.execute_command(*command) for command in self._commands]
        await self.may_answer.wait()
        return replies


class Harness:
    """Tails without a subscription: the test says what it would."""

    def __init__(self, client: Any, most_bytes: int = 1 << 20) -> None:
        self.at_s = 0.0
        self.now_ms = NOW_MS
        self.redis = SlowRedis(client)
        redis: Any = self.redis
        self.noted: list[list[str]] = []
        self.tails = Tails(
            redis,
            most_bytes=most_bytes,
            now_ms=lambda: self.now_ms,
            clock=lambda: self.at_s,
            note_readers=lambda job_ids: self.noted.append(list(job_ids)),
        )
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

    async def reading_again(self, text: str) -> tuple[str, LogWriter]:
        """A followed job that has said `text` and was read, and is read again until Redis may answer; its writer."""
        job_id = self.follow()
        writer = self.worker.take(job_id)
        self.worker.say(writer, text)
        await self.read(job_id)
        self.redis.may_answer.clear()
        self.tails.confirmed(live_channel(job_id))
        await settled()
        return job_id, writer

    async def make_live(self, job_id: str) -> None:
        """Read it, and have its subscription confirmed."""
        await self.read(job_id)
        self.missed()
        self.tails.confirmed(live_channel(job_id))
        await settled()
        assert self.tails.is_live(job_id)


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
    """Return when every task that can continue has continued."""
    for _ in range(20):
        await asyncio.sleep(0)


async def live(harness: Harness, *tokens: str) -> str:
    """A job with these tokens, or with one, whose tail is live."""
    job_id = harness.follow()
    harness.worker.say(harness.worker.take(job_id), *(tokens or ("a",)))
    await harness.make_live(job_id)
    return job_id


def test_a_live_tail_asks_redis_for_nothing(client: Any) -> None:
    """Two reads make it: the first reader's, and the one after the confirmation."""

    async def test() -> None:
        harness = Harness(client)
        job_id = await live(harness)
        reads = harness.redis.views
        assert [await harness.read(job_id) for _ in range(5)] == [[b'"a"']] * 5
        assert harness.redis.views == reads

    run(test())


@pytest.mark.parametrize("is_confirmed_again", [False, True])
def test_a_connection_lost_while_a_tail_is_read_makes_that_read_worth_nothing(
    client: Any, is_confirmed_again: bool
) -> None:
    """A read that spans a lost connection is discarded, even if the next connection was confirmed before its reply."""

    async def test() -> None:
        harness = Harness(client)
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.read(job_id)
        harness.redis.may_answer.clear()
        harness.tails.confirmed(live_channel(job_id))
        await settled()
        seen = harness.tails.version(job_id)
        waiter = harness.tails.waiter([(job_id, seen)])
        harness.tails.lost([live_channel(job_id)])
        harness.worker.say(writer, "nobody hears this")
        harness.missed()
        if is_confirmed_again:
            harness.tails.confirmed(live_channel(job_id))
        harness.redis.may_answer.set()
        await settled()
        assert harness.tails.is_live(job_id) is is_confirmed_again
        if is_confirmed_again:
            assert await harness.read(job_id) == [b'"nobody hears this"']
            assert waiter is not None
            assert waiter.done()

    run(test())


def test_what_is_published_while_a_tail_is_read_is_not_lost(client: Any) -> None:
    """The index in a message shows whether the read already had its elements."""

    async def test() -> None:
        harness = Harness(client)
        job_id, writer = await harness.reading_again("before")
        harness.worker.say(writer, "while")
        harness.pass_on()  # with what the read has already
        harness.redis.may_answer.set()
        await settled()
        assert harness.tails.is_live(job_id)
        reads = harness.redis.views
        assert await harness.read(job_id) == [b'"before"', b'"while"']
        assert harness.redis.views == reads

    run(test())


def test_what_is_published_while_a_read_hangs_is_kept_to_a_number(client: Any) -> None:
    """However long the store takes; beyond that number, the read is made again."""

    async def test() -> None:
        harness = Harness(client)
        job_id, writer = await harness.reading_again("before")
        before = held_by(harness.tails)
        for i in range(10_000):
            harness.tails.heard(live_channel(job_id), b"%d\n" % i)
        assert held_by(harness.tails) < before + 2000
        harness.worker.say(writer, "while")
        harness.missed()
        harness.redis.may_answer.set()
        await settled()
        assert await harness.read(job_id) == [b'"before"', b'"while"']

    run(test())


def test_who_waits_from_before_the_news_does_not_wait(client: Any) -> None:
    """A version that is not the tail's any more is news."""

    async def test() -> None:
        harness = Harness(client)
        job_id = await live(harness)
        seen = harness.tails.version(job_id)
        waiter = harness.tails.waiter([(job_id, seen)])
        assert waiter is not None
        client.publish(live_channel(job_id), b"3\n" + b'"b"')
        harness.pass_on()
        assert waiter.done()
        assert harness.tails.waiter([(job_id, seen)]) is None
        assert harness.tails.waiter([(job_id, harness.tails.version(job_id))]) is not None

    run(test())


def test_a_gap_is_read_again(client: Any) -> None:
    """A message that follows one that did not come."""

    async def test() -> None:
        harness = Harness(client)
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.read(job_id)
        harness.tails.confirmed(live_channel(job_id))
        await settled()
        harness.worker.say(writer, "missed")
        harness.missed()
        harness.worker.say(writer, "heard")
        harness.pass_on()
        await settled()
        assert harness.tails.is_live(job_id)
        assert await harness.read(job_id) == [b'"missed"', b'"heard"']

    run(test())


def test_an_ended_job_is_answered_from_memory_until_it_expires(client: Any) -> None:
    """The closed job's time of expiry is known, and after it nothing of the job is shown."""

    async def test() -> None:
        harness = Harness(client)
        job_id = harness.follow()
        harness.worker.answer(job_id, "a")
        await harness.read(job_id)
        harness.tails.confirmed(live_channel(job_id))
        await settled()
        batch = harness.tails.read_now(job_id, BEGINNING, 10)
        assert batch is not None
        assert batch.is_done
        assert batch.expires_at_ms is not None
        harness.now_ms = batch.expires_at_ms
        assert harness.tails.read_now(job_id, BEGINNING, 10) is None
        assert len(harness.tails) == 0

    run(test())


def test_a_deleted_job_is_gone_at_once(client: Any) -> None:
    """A waiting reader of a deleted job is woken and gets JobGone; memory keeps nothing of the job."""

    async def test() -> None:
        harness = Harness(client)
        job_id = await live(harness)
        waiter = harness.tails.waiter([(job_id, harness.tails.version(job_id))])
        harness.worker.backend.store.delete(job_id, NOW_MS)
        harness.pass_on()
        assert harness.tails.read_now(job_id, BEGINNING, 10) is None
        await settled()
        assert waiter is not None
        assert waiter.done()
        assert len(harness.tails) == 0
        with pytest.raises(JobGone):
            await harness.read(job_id)

    run(test())


def test_tails_that_nobody_reads_are_dropped_and_memory_is_bounded(client: Any) -> None:
    """The tails that were not read for longest give up their elements first; a tail with a waiter is kept."""

    async def test() -> None:
        harness = Harness(client, most_bytes=16_000)
        jobs = []
        for n in range(40):
            harness.at_s = n / 100
            job_id = harness.follow()
            harness.worker.answer(job_id, "x" * 400)
            await harness.read(job_id)
            harness.tails.confirmed(live_channel(job_id))
            await settled()
            jobs.append(job_id)
        harness.tails.tend()
        kept = [job.tail.size for job_id in jobs if (job := harness.tails.job(job_id))]
        assert len(kept) == 40
        assert 0 < sum(kept) <= 16_000
        assert kept[0] == 0 < kept[-1]
        waiter = harness.tails.waiter([(jobs[0], harness.tails.version(jobs[0]))])
        harness.at_s = 20.0
        harness.tails.tend()
        assert len(harness.tails) == 1
        assert waiter is not None
        harness.tails.leave([jobs[0]], waiter)
        harness.at_s = 40.0
        harness.tails.tend()
        assert len(harness.tails) == 0

    run(test())


def test_a_reader_that_waits_is_noted_for_as_long_as_it_waits(client: Any) -> None:
    """A job that a long poll waits for has a reader each second; without a wait it has one for two seconds more."""

    async def test() -> None:
        harness = Harness(client)
        job_id = await live(harness)
        waiter = harness.tails.waiter([(job_id, harness.tails.version(job_id))])
        assert waiter is not None
        for _ in range(3):
            harness.at_s += 5
            harness.tails.tend()
        harness.tails.leave([job_id], waiter)
        for seconds in (1, 2):
            harness.at_s += seconds
            harness.tails.tend()
        assert harness.noted == [[job_id]] * 4 + [[]]

    run(test())


def test_closing_wakes_everybody(client: Any) -> None:
    """All waiters are woken, and no further job is followed."""

    async def test() -> None:
        harness = Harness(client)
        job_id = await live(harness)
        waiters = [harness.tails.waiter([(job_id, harness.tails.version(job_id))]) for _ in range(3)]
        harness.tails.close()
        assert all(waiter is not None and waiter.done() for waiter in waiters)
        await harness.read(harness.follow())
        assert len(harness.tails) == 1

    run(test())


def test_a_job_that_is_written_to_the_end_needs_three_reads(client: Any) -> None:
    """The first, the one that makes it live, and one after the end, for its expiry; a claim is another."""

    async def test() -> None:
        harness = Harness(client)
        job_id = harness.follow()
        await harness.read(job_id)
        harness.tails.confirmed(live_channel(job_id))
        await settled()
        writer = harness.worker.take(job_id)
        harness.pass_on()
        await settled()
        for said in ("a", "b", "c"):
            harness.worker.say(writer, said)
            harness.pass_on()
            await settled()
        harness.worker.say(writer, COMPLETED)
        harness.pass_on()
        await settled()
        assert await harness.read(job_id) == [b'"a"', b'"b"', b'"c"']
        assert harness.redis.views == 4

    run(test())
