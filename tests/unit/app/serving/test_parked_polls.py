"""The parked polls: woken, out of time, gone, or sent the long way; nobody is answered twice or forgotten."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.http.access import Caller
from app.reading.hub import Hub
from app.serving.parked_polls import ParkedPoll, ParkedPolls
from app.serving.quick_polls import Admission, Pending, QuickPolls
from app.wiring import wire_calls
from tests.scripted_worker import COMPLETED
from tests.unit.app.reading.test_tails import Harness, live, run, settled
from tokentail.config.settings import load_settings
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import Reasoning
from tokentail.redis.backend import wire
from tokentail.redis.keys import live_channel

ANYBODY = Admission([], b"", Caller(""), "")
ANOTHER = Admission([], b"", Caller("another"), "")


class Connection:
    """Remembers how its poll ended."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.long_ways: list[bytes] = []

    def answer_parked(self, response: bytes, waited_s: float) -> None:
        assert waited_s >= 0
        self.answers.append(response)

    def go_the_long_way(self, url: bytes) -> None:
        self.long_ways.append(url)


class ParkingHarness(Harness):
    """With the parked polls of its tails."""

    def __init__(self, client: Any, most_waits: int = 10) -> None:
        super().__init__(client)
        calls = wire_calls(load_settings({}), wire(client, client, load_settings({})))
        self.quick_polls = QuickPolls(calls.access, calls.polls, self.tails, lambda: self.at_s)
        self.hub = Hub(self.tails, most_waits, most_waits)
        self.parked = ParkedPolls(self.quick_polls, self.hub, lambda: self.at_s)

    async def park(
        self, job_id: str, wait_s: int = 20, kind: str = "tokens", query: str = ""
    ) -> tuple[Connection, ParkedPoll | None]:
        cursor = (await self.tails.read(job_id, BEGINNING, 1000)).cursor
        return self.park_at(f"/v1/jobs/{job_id}/{kind}?cursor={cursor}&wait={wait_s}{query}")

    def park_at(self, url: str, admission: Admission = ANYBODY) -> tuple[Connection, ParkedPoll | None]:
        connection = Connection()
        found = self.quick_polls.look(url.encode(), admission)
        return connection, self.parked.park(connection, found, admission) if isinstance(found, Pending) else None

    async def let_pass(self, seconds: float) -> None:
        """On its own clock; then as long as a tick may take."""
        self.at_s += seconds
        await asyncio.sleep(0.25)


@pytest.fixture
def harness() -> Iterator[ParkingHarness]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    first = ParkingHarness(client)
    first.worker.backend.store.read(first.worker.submit(), BEGINNING, 1)  # now it knows the script
    yield first
    client.close()


def test_news_answers_all_who_wait(harness: ParkingHarness) -> None:
    """One message wakes each reader once, with the same bytes, and then nobody waits."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        connections = [(await harness.park(job_id))[0] for _ in range(3)]
        assert harness.hub.waits == 3
        harness.worker.say(writer, "b", COMPLETED)
        harness.pass_on()
        await settled()
        (answer,) = {answer for connection in connections for answer in connection.answers}
        assert b'"done":true' in answer
        assert [len(connection.answers) for connection in connections] == [1, 1, 1]
        assert harness.hub.waits == 0

    run(test())


def test_polls_that_differ_in_a_random_text_share_a_response(harness: ParkingHarness) -> None:
    """`rnd`, which tells polls apart on their way, costs no second response; the poll has nothing of it any more."""

    async def test() -> None:
        job_id = await live(harness)
        path = f"/v1/jobs/{job_id}/tokens?cursor=0"
        answers = [harness.quick_polls.look(f"{path}&rnd={text}".encode(), ANYBODY) for text in ("a", "b.2", "")]
        assert isinstance(answers[0], bytes)
        assert answers[0] is answers[1] is answers[2]
        _, poll = await harness.park(job_id, query="&rnd=c")
        assert poll is not None
        assert b"rnd" not in poll.url

    run(test())


def test_who_waited_in_vain_is_told_so(harness: ParkingHarness) -> None:
    """After its time a poll is answered with nothing new, and not before."""

    async def test() -> None:
        job_id = await live(harness)
        connection, _ = await harness.park(job_id, wait_s=5)
        await harness.let_pass(4.9)
        assert not connection.answers
        await harness.let_pass(0.3)
        assert len(connection.answers) == 1
        assert b'"tokens":[]' in connection.answers[0]
        assert harness.hub.waits == 0

    run(test())


def test_who_is_gone_is_not_answered(harness: ParkingHarness) -> None:
    """A poll whose client left gets no answer, by news or by its time, and its waiting place is free at once."""

    async def test() -> None:
        job_id = await live(harness)
        connection, poll = await harness.park(job_id, wait_s=5)
        assert poll is not None
        harness.parked.leave(poll)
        assert harness.hub.waits == 0
        harness.tails.close()
        await harness.let_pass(10)
        assert not connection.answers
        assert not connection.long_ways

    run(test())


@pytest.mark.parametrize("query", ["", "&limit=5&linger_ms=10"])
def test_a_tail_that_is_stale_sends_its_polls_the_long_way(harness: ParkingHarness, query: str) -> None:
    """When the subscription is lost for longer, Redis is asked, for what is left of the time."""

    async def test() -> None:
        job_id = await live(harness)
        connection, _ = await harness.park(job_id, wait_s=20, query=query)
        harness.tails.lost([live_channel(job_id)])
        harness.at_s += 5
        await asyncio.sleep(1.2)  # a short outage would have disturbed nobody
        assert not connection.answers
        (url,) = connection.long_ways
        left = re.search(rb"&wait=(\d+)%b$" % query.encode(), url)
        assert left
        assert 14 <= int(left[1]) <= 15
        assert harness.hub.waits == 0

    run(test())


def test_a_process_that_goes_answers_at_once(harness: ParkingHarness) -> None:
    """Parked polls get an ordinary answer when the process stops, and no new poll is parked."""

    async def test() -> None:
        job_id = await live(harness)
        connection, _ = await harness.park(job_id)
        harness.tails.close()
        await settled()
        assert b'"tokens":[]' in connection.answers[0]
        assert (await harness.park(job_id))[1] is None

    run(test())


def test_what_the_tail_cannot_answer_is_not_parked(harness: ParkingHarness) -> None:
    """A cursor older than what is kept, a stale tail, another's job, one too many: the long way decides."""

    async def test() -> None:
        job_id = await live(harness)
        url = f"/v1/jobs/{job_id}/tokens?cursor=0&wait=20"
        assert harness.park_at(url, ANOTHER)[1] is None
        job = harness.tails.job(job_id)
        assert job is not None
        job.tail.forget()
        assert harness.park_at(url)[1] is None
        for _ in range(10):
            assert (await harness.park(job_id))[1] is not None
        assert (await harness.park(job_id))[1] is None

    run(test())


def test_a_poll_that_lingers_gathers_what_follows_its_first_news(harness: ParkingHarness) -> None:
    """A lingering poll is answered when its time is over, with all that came by then; another poll at once."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        lingering = [(await harness.park(job_id, query="&linger_ms=300"))[0] for _ in range(2)]
        prompt, _ = await harness.park(job_id)
        for token in ("a", "b"):
            harness.worker.say(writer, token)
            harness.pass_on()
            await settled()
        assert b'"tokens":["a"]' in prompt.answers[0]
        assert [connection.answers for connection in lingering] == [[], []]
        await asyncio.sleep(0.35)
        (response,) = {response for connection in lingering for response in connection.answers}
        assert b'"tokens":["a","b"]' in response
        assert harness.hub.waits == 0

    run(test())


def test_a_poll_that_finds_news_lingers_too(harness: ParkingHarness) -> None:
    """News that was there before the poll came begins the time of lingering."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        cursor = (await harness.tails.read(job_id, BEGINNING, 1000)).cursor
        harness.worker.say(writer, "a")
        harness.pass_on()
        connection, poll = harness.park_at(f"/v1/jobs/{job_id}/tokens?cursor={cursor}&wait=20&linger_ms=200")
        assert poll is not None
        harness.worker.say(writer, "b")
        harness.pass_on()
        await asyncio.sleep(0.25)
        assert b'"tokens":["a","b"]' in connection.answers[0]

    run(test())


@pytest.mark.parametrize(("said", "query"), [((COMPLETED,), ""), (("b",), "&limit=2"), (("b", "c"), "&limit=1")])
def test_lingering_ends_with_the_log_and_with_a_full_batch(
    harness: ParkingHarness, said: tuple[Any, ...], query: str
) -> None:
    """No poll waits for what its response cannot hold."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        connection, _ = await harness.park(job_id, query=f"&linger_ms=5000{query}")
        harness.worker.say(writer, "a", *said)
        harness.pass_on()
        await settled()
        assert b'"tokens":["a"' in connection.answers[0]
        assert harness.hub.waits == 0

    run(test())


def test_a_poll_gets_past_elements_that_are_no_news_to_it(harness: ParkingHarness) -> None:
    """A poll for one token gets the token, however many thoughts came before it."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        connection, _ = await harness.park(job_id, query="&limit=1")
        for said in (Reasoning("hm"), Reasoning("well"), "a"):
            assert not connection.answers
            harness.worker.say(writer, said)
            harness.pass_on()
            await settled()
        assert b'"tokens":["a"]' in connection.answers[0]

    run(test())


def test_a_closed_connection_ends_lingering(harness: ParkingHarness) -> None:
    """Nothing is sent on it later."""

    async def test() -> None:
        job_id = harness.follow()
        writer = harness.worker.take(job_id)
        await harness.make_live(job_id)
        connection, poll = await harness.park(job_id, query="&linger_ms=50")
        harness.worker.say(writer, "a")
        harness.pass_on()
        await settled()
        assert poll is not None
        assert poll.linger_timer is not None
        harness.parked.leave(poll)
        assert poll.linger_timer.cancelled()
        assert (connection.answers, connection.long_ways, harness.hub.waits) == ([], [], 0)

    run(test())
