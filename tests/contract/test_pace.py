"""When a client should poll again follows the pace of the last seconds, over restarts and pauses, read or by a tail."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.calls.poll_interval import poll_after_ms
from tests.contract.live_subscription import subscribe
from tests.contract.single_job import NOW_MS, SingleJob
from tokentail.identifiers import new_generation
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import Reasoning
from tokentail.log.tail import Tail
from tokentail.log.writer import LogWriter
from tokentail.redis.keys import live_channel

FIFTY_A_SECOND_MS = 20


@dataclass
class TimedJob:
    """A job whose tokens come at set times, and a tail of it that hears of each at once."""

    job: SingleJob
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.store = self.job.backend.store
        self.pubsub = subscribe(self.store.client, self.job.id)
        self.tail = Tail(self.read(), 1 << 20)
        self.tail.take(self.read())
        self.writer: LogWriter

    def read(self) -> Batch:
        return self.store.read(self.job.id, BEGINNING, 100_000)

    def claim(self) -> None:
        """A new attempt begins a new generation."""
        self.writer = self.job.claim()
        self.begin()

    def begin(self) -> None:
        self.writer.start(new_generation(), "demo", "demo")
        self.settle()

    def lose(self) -> None:
        """The worker is killed; a lease later the job is taken from it."""
        self.now_ms += 6000
        job = self.store.view(self.job.id)
        assert self.store.requeue(job.id, job.attempt, job.enqueues, self.now_ms, is_loss=True)

    def say(self, count: int, gap_ms: int = FIFTY_A_SECOND_MS, at_once: int = 1) -> None:
        """Append `count` tokens, `at_once` in each append, with a gap of `gap_ms` before each append."""
        for _ in range(count // at_once):
            self.now_ms += gap_ms
            for _ in range(at_once):
                self.writer.write("t")
            self.settle()

    def settle(self) -> None:
        while append := self.writer.next_append(self.now_ms):
            self.writer.settle(append, self.store.append(append))
        length = self.store.client.llen(live_channel(self.job.id))
        while self.tail.state.length < length:
            message = self.pubsub.get_message(timeout=5)
            assert message is not None
            if not self.tail.feed(message["data"], self.now_ms):
                self.tail.take(self.read())

    def poll_interval_ms(self) -> int:
        """The poll interval, which is the same by a read and by the tail."""
        read, told = self.read(), self.tail.read(BEGINNING, 100_000)
        assert told is not None
        assert (read.pace is None) == (told.pace is None)
        interval_ms = poll_after_ms(read, self.now_ms)
        assert poll_after_ms(told, self.now_ms) == pytest.approx(interval_ms, abs=2)
        return interval_ms


@pytest.fixture
def timed(job: SingleJob) -> Iterator[TimedJob]:
    timed = TimedJob(job)
    yield timed
    timed.pubsub.close()


def test_after_a_killed_worker_the_advice_follows_the_new_answer(timed: TimedJob) -> None:
    """From its first tokens on, and to its end; the age of the job says nothing."""
    timed.claim()
    timed.say(500)
    assert timed.poll_interval_ms() == 100
    timed.lose()
    timed.now_ms += 1000
    timed.claim()
    timed.say(1)
    assert timed.poll_interval_ms() < 250
    for _ in range(5):
        timed.say(25)
        assert timed.poll_interval_ms() <= 150
    timed.say(200)
    assert timed.poll_interval_ms() == 100


def test_a_generation_that_is_begun_anew_by_the_same_worker_keeps_the_pace(timed: TimedJob) -> None:
    """A provider that failed in mid-answer is called again."""
    timed.claim()
    timed.say(300)
    timed.now_ms += 5000
    timed.begin()
    timed.say(50)
    assert timed.poll_interval_ms() <= 150


def test_after_a_pause_the_advice_soon_follows_the_pace_again(timed: TimedJob) -> None:
    """While the model is silent it is polled less and less; half a second after it goes on, as before."""
    timed.claim()
    timed.say(500)
    seen = []
    for _ in range(3):
        timed.now_ms += 1000
        seen.append(timed.poll_interval_ms())
    assert seen == [500, 1000, 1500]
    timed.now_ms += 27_000
    assert timed.poll_interval_ms() == 2000
    timed.say(25)
    assert timed.poll_interval_ms() <= 150


def test_a_wait_for_the_first_token_says_nothing_of_the_pace(timed: TimedJob) -> None:
    """However long it was, and whatever was thought meanwhile."""
    timed.claim()
    for _ in range(10):
        timed.now_ms += 1000
        timed.writer.write(Reasoning("hm"))
        timed.settle()
    assert timed.poll_interval_ms() == 250
    timed.now_ms += 5000
    timed.say(1)
    timed.say(10)
    assert timed.poll_interval_ms() == 100


@pytest.mark.parametrize(
    ("gap_ms", "at_once", "expected_ms"), [(100, 1, 500), (200, 1, 1000), (500, 5, 500), (5000, 1, 2000)]
)
def test_the_pace_of_old_tokens_is_forgotten(timed: TimedJob, gap_ms: int, at_once: int, expected_ms: int) -> None:
    """A fast model that has become slow, whether its tokens come one by one or several at once."""
    timed.claim()
    timed.say(500)
    timed.say(50, gap_ms, at_once)
    assert timed.poll_interval_ms() == pytest.approx(expected_ms, rel=0.3)


def test_an_append_that_is_sent_twice_counts_once(timed: TimedJob) -> None:
    """A lost reply does not double the pace."""
    timed.claim()
    timed.say(100, 200)
    interval_ms = timed.poll_interval_ms()
    timed.now_ms += 200
    timed.writer.write("t")
    append = timed.writer.next_append(timed.now_ms)
    assert append is not None
    for _ in range(5):
        timed.store.append(append)
    timed.settle()
    assert timed.poll_interval_ms() == pytest.approx(interval_ms, rel=0.01)


def test_first_tokens_are_dated_for_the_job_and_for_its_latest_answer(timed: TimedJob) -> None:
    """How long a client waited for the first word stays; how fast an answer was is counted from its own first token."""
    timed.claim()
    timed.say(10)
    first = timed.store.view(timed.job.id)
    assert first.first_token_at_ms == first.generation_token_at_ms == NOW_MS + FIFTY_A_SECOND_MS
    timed.lose()
    timed.claim()
    timed.say(10)
    second = timed.store.view(timed.job.id)
    assert second.first_token_at_ms == first.first_token_at_ms
    assert second.generation_token_at_ms == NOW_MS + 200 + 6000 + FIFTY_A_SECOND_MS
