"""Passing on: what comes is written at once; all else is left to the stream's own steps, and nothing is lost."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import fakeredis
import pytest

from app.reading.hub import Hub
from app.reading.steps import ClientLeft, Follow, PassOn
from tests.scripted_worker import COMPLETED
from tests.unit.app.reading.test_tails import Harness, run, settled
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import Reasoning
from tokentail.log.writer import LogWriter
from tokentail.redis.keys import live_channel


class Client:
    """A reader and where its parts go."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self.parts: list[bytes] = []
        self.can_write = True
        self.hangup: asyncio.Future[bool] | None = None

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        self.hangup = waiter

    def write_part(self, part: bytes) -> None:
        self.parts.append(part)


class Passed(Harness):
    """A job that runs, and a stream of it."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.hub = Hub(self.tails, 10, 10)
        self.client = Client()
        self.writer: LogWriter

    async def begin(self, *, make: Callable[[Batch], bytes] | None = None, at_most_s: float = 30) -> Any:
        """The task that passes on; the log has `a`, and a job's first elements."""
        self.job_id = self.follow()
        self.writer = self.worker.take(self.job_id)
        await self.make_live(self.job_id)
        self.say("a")
        self.client.seen[self.job_id] = self.tails.version(self.job_id)
        batch = await self.tails.read(self.job_id, BEGINNING, 1000)
        follow = Follow("", self.job_id, BEGINNING, 1000)
        make = make or (lambda news: b"".join(news.tokens))
        step = PassOn(follow, batch, make, self.at_s, at_most_s, lambda: self.at_s)
        task = asyncio.create_task(self.hub.pass_on(step, self.client, self.client))  # type: ignore[arg-type]
        await settled()
        return task

    def say(self, *elements: Any) -> None:
        self.worker.say(self.writer, *elements)
        self.pass_on()


@pytest.fixture
def passed() -> Iterator[Passed]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    harness = Passed(client)
    harness.worker.backend.store.read(harness.worker.submit(), BEGINNING, 1)  # now it knows the script
    yield harness
    client.close()


def check(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(test())


def test_each_piece_of_news_is_a_part(passed: Passed) -> None:
    """The steps are not woken; the end is left to them, with all that was passed on behind them."""

    async def test() -> None:
        task = await passed.begin()
        passed.say("b")
        passed.say("c", "d")
        assert passed.client.parts == [b'"b"', b'"c""d"']
        assert not task.done()
        passed.say("e", COMPLETED)
        batch, _ = await task
        assert passed.client.parts == [b'"b"', b'"c""d"']
        assert batch.cursor.index == batch.length
        assert passed.tails.version(passed.job_id) != passed.client.seen[passed.job_id]  # a wait ends at once

    check(test)


def test_events_alone_are_no_news_for_a_stream_of_tokens(passed: Passed) -> None:
    """Events come behind what was passed on all the same."""

    async def test() -> None:
        task = await passed.begin()
        passed.say(Reasoning("hm"))
        passed.say("b")
        assert passed.client.parts == [b'"b"']
        task.cancel()

    check(test)


@pytest.mark.parametrize("how", ["a full buffer", "a stop", "an outage"])
def test_what_cannot_be_passed_on_is_left_to_the_steps(passed: Passed, how: str) -> None:
    """A client that takes nothing, a process that stops, a store that is away: no part is written or lost."""

    async def test() -> None:
        task = await passed.begin()
        if how == "a full buffer":
            passed.client.can_write = False
            passed.say("b")
        elif how == "a stop":
            passed.hub.close()
        else:
            passed.tails.lost([live_channel(passed.job_id)])
            passed.tails.wake()
        batch, _ = await task
        assert passed.client.parts == []
        assert (batch.cursor.index, batch.elements) == (3, ())  # behind `submitted`, `start` and the first token

    check(test)


def test_what_shows_nothing_is_no_part(passed: Passed) -> None:
    """An empty part would end the response."""

    async def test() -> None:
        task = await passed.begin(make=lambda _: b"")
        passed.say("b")
        assert passed.client.parts == []
        assert not task.done()
        task.cancel()

    check(test)


def test_a_new_generation_is_left_to_the_steps(passed: Passed) -> None:
    """A reset is more than elements that follow."""

    async def test() -> None:
        task = await passed.begin()
        passed.writer.start("gen2", "demo", "demo")
        passed.say("x")
        await task
        assert passed.client.parts == []

    check(test)


def test_a_fault_in_making_a_part_is_the_steps_own(passed: Passed) -> None:
    """The fault reaches the stream, and not the readers beside it."""

    def make(_: Batch) -> bytes:
        raise ValueError("This cannot be made.")

    async def test() -> None:
        task = await passed.begin(make=make)
        passed.say("b")
        with pytest.raises(ValueError, match="cannot be made"):
            await task

    check(test)


def test_a_client_that_leaves_ends_it(passed: Passed) -> None:
    """Nothing waits for news any more."""

    async def test() -> None:
        task = await passed.begin()
        assert passed.client.hangup is not None
        passed.client.hangup.set_exception(ClientLeft("left"))
        with pytest.raises(ClientLeft):
            await task
        job = passed.tails.job(passed.job_id)
        assert job is not None
        assert not job.waiters
        passed.say("b")
        assert passed.client.parts == []

    check(test)


def test_silence_is_told_after_its_time(passed: Passed) -> None:
    """The time begins anew with each part."""

    async def test() -> None:
        task = await passed.begin(at_most_s=0.2)
        passed.at_s += 0.1
        passed.say("b")
        passed.at_s += 0.15
        await asyncio.sleep(0.3)
        assert not task.done()
        passed.at_s += 0.2
        _, at = await task
        assert at == pytest.approx(passed.at_s - 0.35)

    check(test)
