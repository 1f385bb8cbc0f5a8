"""The runner: every job that it takes comes to its end, is lost to another, or is handed over."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.conftest import MakeBackend
from tokentail.backend import Backend, now_ms
from tokentail.catalog import ServedModel
from tokentail.commands import Append, Appended, Claim
from tokentail.cursor import BEGINNING
from tokentail.element import End, decode
from tokentail.errors import StoreUnavailable
from tokentail.job import FailureKind, FinishReason, Job, Status
from tokentail.request import GenerationRequest, parse_request
from tokentail.settings import load_settings
from tokentail.submit import Submitter
from worker.chunk import Chunk, Finish, Terminal, provider_failure
from worker.group_commit import MAX_UNSETTLED, MAX_UNSETTLED_BYTES
from worker.providers.registry import Registry
from worker.providers.source import Answer
from worker.runner import Runner

_PROMPT = "a prompt that nobody else may see"


class _Scripted:
    """A provider that says what the test wants, and tells whether it was left."""

    name = "scripted"
    served = ServedModel("scripted", "scripted", "scripted")

    def __init__(self, say: Callable[[], Iterator[list[Chunk]]]) -> None:
        self._say = say
        self.is_closed = Event()

    def steps(self, request: GenerationRequest, model: str) -> Generator[tuple[float, list[Chunk]]]:
        try:
            for chunks in self._say():
                yield 0.0, chunks
        finally:
            self.is_closed.set()


class _NoTransport:
    def send(self, call: Any) -> Answer:
        raise AssertionError("a scripted provider needs no network")


class _House:
    """A runner over one store, as a worker process has it."""

    def __init__(self, backend: Backend, say: Callable[[], Iterator[list[Chunk]]], **environment: str) -> None:
        self.backend = backend
        self.provider = _Scripted(say)
        settings = load_settings(environment)
        self.runner = Runner("worker-1", settings, backend, Registry([self.provider]), _NoTransport())
        self.greenlets = [gevent.spawn(self.runner.commit_forever)]

    def submit(self, model: str = "scripted") -> str:
        request = parse_request(b'{"prompt": "%s"}' % _PROMPT.encode())
        return (
            Submitter(self.backend.store, self.backend.queue, self.backend.admission, now_ms)
            .submit("", request, model, None)
            .job_id
        )

    def run(self, job_id: str) -> str:
        with gevent.Timeout(10):
            return self.runner.run(job_id)

    def spawn(self, job_id: str) -> gevent.Greenlet:
        greenlet = gevent.spawn(self.runner.run, job_id)
        self.greenlets.append(greenlet)
        self.until(lambda: self.text(job_id) != "")
        return greenlet

    def until(self, condition: Callable[[], object]) -> None:
        with gevent.Timeout(10):
            while not condition():
                gevent.sleep(0.01)

    def text(self, job_id: str) -> str:
        return "".join(decode(token) for token in self.backend.store.read(job_id, BEGINNING, 10_000).tokens)

    def job(self, job_id: str) -> Job:
        return self.backend.store.view(job_id)

    def error(self, job_id: str) -> dict[str, Any]:
        end = self.job(job_id).end
        assert end is not None
        error: dict[str, Any] = end["error"]
        return error


Build = Callable[..., _House]


@pytest.fixture
def build(make_backend: MakeBackend) -> Iterator[Build]:
    houses: list[_House] = []

    def make(say: Callable[[], Iterator[list[Chunk]]], **environment: str) -> _House:
        houses.append(_House(make_backend(**environment), say, **environment))
        return houses[-1]

    yield make
    for house in houses:
        gevent.killall(house.greenlets)


def _whole() -> Iterator[list[Chunk]]:
    yield ["Hel"]
    yield ["lo", Finish(FinishReason.STOP, "stop"), Terminal()]


def _endless() -> Iterator[list[Chunk]]:
    yield ["and "]
    while True:
        gevent.sleep(0.01)
        yield ["on "]


def _mute() -> Iterator[list[Chunk]]:
    yield ["one word"]
    Event().wait()


def test_a_job_is_seen_to_its_end(build: Build) -> None:
    """Its text is in the log, its status is completed, and nothing looks for it any more."""
    house = build(_whole)
    job_id = house.submit()
    assert house.run(job_id) == "completed"
    job = house.job(job_id)
    assert (house.text(job_id), job.status) == ("Hello", Status.COMPLETED)
    assert job.end is not None
    assert (job.end["finish_reason"], job.end["provider_reason"]) == ("stop", "stop")
    assert house.backend.admission.open_jobs() == []
    assert house.runner.attempts == []


def test_a_job_that_was_cancelled_in_the_queue_is_not_begun(build: Build) -> None:
    """The provider is never asked."""
    house = build(_whole)
    job_id = house.submit()
    house.backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    assert house.run(job_id) == "refused"
    assert not house.provider.is_closed.is_set()


@pytest.mark.parametrize("say", [_endless, _mute])
def test_a_cancelled_job_leaves_its_upstream_at_once(build: Build, say: Callable[[], Iterator[list[Chunk]]]) -> None:
    """Whether the provider speaks or is silent: told of it, the runner is gone within half a second."""
    house = build(say)
    job_id = house.submit()
    running = house.spawn(job_id)
    house.backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    house.runner.closed_elsewhere(job_id)
    assert house.provider.is_closed.wait(timeout=0.5)
    running.join(timeout=5)
    assert running.value == "closed"
    assert house.job(job_id).status is Status.CANCELLED


@pytest.mark.parametrize("say", [_endless, _mute])
def test_a_cancellation_whose_news_was_lost_is_found(build: Build, say: Callable[[], Iterator[list[Chunk]]]) -> None:
    """The next append, or the next look after the logs, is refused."""
    house = build(say)
    job_id = house.submit()
    running = house.spawn(job_id)
    house.backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    house.runner.look_after_logs()
    running.join(timeout=5)
    assert running.value == "closed"


def test_what_was_shown_before_a_failure_stays(build: Build) -> None:
    """A failed job says why, and keeps its partial text."""

    def breaking() -> Iterator[list[Chunk]]:
        yield ["so far"]
        raise provider_failure(FailureKind.TRUNCATED, "cut", is_retryable=True)

    house = build(breaking, TOKENTAIL_RETRIES="0")
    job_id = house.submit()
    assert house.run(job_id) == "failed: truncated"
    assert house.text(job_id) == "so far"
    assert house.job(job_id).status is Status.FAILED
    assert house.error(job_id) == {"type": "truncated", "message": "cut", "is_retryable": True}


def test_a_bug_ends_the_job_and_tells_no_secrets(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong inside, the reader is told that it did, and the log does not quote the prompt."""

    def buggy() -> Iterator[list[Chunk]]:
        yield ["so far"]
        raise KeyError(_PROMPT)

    house = build(buggy)
    job_id = house.submit()
    assert house.run(job_id) == "failed: internal"
    assert house.error(job_id)["type"] == "internal"
    assert "job.crashed" in caplog.text
    assert _PROMPT not in caplog.text + str([record.__dict__ for record in caplog.records]) + str(house.error(job_id))


def test_silence_fails_the_job(build: Build) -> None:
    """A provider that stops in mid-sentence does not hold its reader for ever."""
    house = build(_mute, TOKENTAIL_IDLE_TIMEOUT_S="0.2")
    job_id = house.submit()
    assert house.run(job_id) == "failed: timeout"
    assert house.text(job_id) == "one word"
    assert house.provider.is_closed.is_set()


def test_a_log_has_a_limit(build: Build) -> None:
    """An endless answer ends as a failure that names the limit, and what fits is kept."""
    house = build(_endless, TOKENTAIL_MAX_LOG_BYTES="1024")
    job_id = house.submit()
    assert house.run(job_id) == "failed: truncated"
    assert "1024" in house.error(job_id)["message"]
    assert house.text(job_id).startswith("and on on ")


def test_a_model_that_is_served_no_more_fails_the_job(build: Build) -> None:
    """Accepted when another worker lived, taken by one that cannot serve it."""
    house = build(_whole)
    job_id = house.submit("gone/model")
    assert house.run(job_id) == "failed: rejected"


def test_a_job_that_is_handed_over_is_done_by_another(build: Build) -> None:
    """The next worker begins a new generation; who read the first is told to clear it."""
    house = build(_endless)
    job_id = house.submit()
    running = house.spawn(job_id)
    seen = house.backend.store.read(job_id, BEGINNING, 1000)
    house.runner.hand_over()
    running.join(timeout=5)
    assert running.value == "handed over"
    assert house.job(job_id).status is Status.QUEUED
    assert job_id in house.backend.queue.waiting()
    another = build(_whole)
    assert another.run(job_id) == "completed"
    after = house.backend.store.read(job_id, seen.cursor, 1000)
    assert (after.is_reset, house.text(job_id)) == (True, "Hello")


def test_a_claim_whose_reply_was_lost_is_made_good(build: Build) -> None:
    """The store took the claim, the answer never came: the same attempt asks again and has the job."""
    house = build(_whole)
    job_id = house.submit()
    claim, tries = house.backend.store.claim, []

    def losing_the_first(job_id: str, attempt: str, worker: str, at_ms: int) -> Claim | None:
        taken = claim(job_id, attempt, worker, at_ms)
        tries.append(attempt)
        if len(tries) == 1:
            raise StoreUnavailable
        return taken

    house.backend.store.claim = losing_the_first  # type: ignore[method-assign, assignment]  # the one call that is to lose its reply
    assert house.run(job_id) == "completed"
    assert len(tries) == 2
    assert house.job(job_id).attempts == 1


def _failing(times: int, *before: str) -> Callable[[], Iterator[list[Chunk]]]:
    """A provider that fails so often, after having said something, and then answers."""
    left = [times]

    def say() -> Iterator[list[Chunk]]:
        if left[0]:
            left[0] -= 1
            for token in before:
                yield [token]
            raise provider_failure(FailureKind.OVERLOADED, "busy", is_retryable=True)
        yield from _whole()

    return say


def test_a_provider_that_fails_before_the_first_token_is_called_again_unseen(build: Build) -> None:
    """Readers see one generation, and nothing to clear."""
    house = build(_failing(2))
    job_id = house.submit()
    early = house.backend.store.read(job_id, BEGINNING, 10).cursor
    assert house.run(job_id) == "completed"
    batch = house.backend.store.read(job_id, early, 100)
    assert (batch.is_reset, house.text(job_id)) == (False, "Hello")
    assert [decode(e)["type"] for e in batch.elements if e.startswith(b"{")] == ["start", "end"]


def test_a_provider_that_fails_in_mid_answer_begins_a_new_generation(build: Build) -> None:
    """Who saw the first is told to clear it; the text is that of the last alone."""
    house = build(_failing(1, "false ", "start"))
    job_id = house.submit()
    running = gevent.spawn(house.runner.run, job_id)
    house.greenlets.append(running)
    house.until(lambda: house.text(job_id) == "false start")
    seen = house.backend.store.read(job_id, BEGINNING, 10).cursor
    running.join(timeout=10)
    batch = house.backend.store.read(job_id, seen, 100)
    assert (batch.is_reset, house.text(job_id), batch.token_count) == (True, "Hello", 2)


def test_a_provider_that_keeps_failing_is_given_up(build: Build) -> None:
    """The number of calls is bounded, and the last failure is the job's."""
    house = build(_failing(5), TOKENTAIL_RETRIES="1")
    job_id = house.submit()
    assert house.run(job_id) == "failed: overloaded"


def test_a_job_keeps_to_the_deadline_that_it_asked_for(build: Build) -> None:
    """Shorter than the deployment's."""
    house = build(_mute)
    body = b'{"prompt": "p", "timeouts": {"idle_s": 0.1}}'
    submitter = Submitter(house.backend.store, house.backend.queue, house.backend.admission, now_ms)
    job_id = submitter.submit("", parse_request(body), "scripted", None).job_id
    assert house.run(job_id) == "failed: timeout"


def test_a_deadline_that_passes_as_the_answer_ends_spoils_nothing(build: Build) -> None:
    """The answer is complete: it is stored once, and nobody is asked again, whatever the clock says in that moment."""

    def slow_to_end() -> Iterator[list[Chunk]]:
        yield ["Hello", Finish(FinishReason.STOP, "stop"), Terminal()]
        # Past the deadline, without giving way to the loop that would notice.
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        gevent.idle()

    house = build(slow_to_end, TOKENTAIL_IDLE_TIMEOUT_S="0.25")
    for _ in range(5):
        job_id = house.submit()
        assert house.run(job_id) in {"completed", "failed: timeout"}
        job = house.job(job_id)
        assert (job.attempts, job.enqueues, job.status.is_closed) == (1, 1, True)


@pytest.mark.parametrize(
    ("count", "size", "room"),
    [
        pytest.param(5000, 5, MAX_UNSETTLED, id="many tokens"),
        pytest.param(150, 64 << 10, MAX_UNSETTLED_BYTES // (64 << 10), id="large tokens"),
    ],
)
def test_a_fast_upstream_is_not_read_while_the_store_is_away(build: Build, count: int, size: int, room: int) -> None:
    """What is pulled from it stays within the limit; when the store is back, all arrives, once and in order."""
    tokens = [f"{i:04}".ljust(size, ".") for i in range(count)]
    pulled: list[str] = []

    def fast() -> Iterator[list[Chunk]]:
        for token in tokens:
            pulled.append(token)
            yield [token]
        yield [Finish(FinishReason.STOP, "stop"), Terminal()]

    house = build(fast)
    append_many, tries = house.backend.store.append_many, []
    is_away = True

    def away(appends: Sequence[Append]) -> list[Appended | Exception]:
        if not is_away:
            return append_many(appends)
        tries.append(len(pulled))
        raise StoreUnavailable

    house.backend.store.append_many = away  # type: ignore[method-assign]  # the one call that is to fail for a while
    job_id = house.submit()
    running = gevent.spawn(house.runner.run, job_id)
    house.greenlets.append(running)
    house.until(lambda: len(pulled) >= room - 2)
    stopped_at = len(tries)
    house.until(lambda: len(tries) >= stopped_at + 3)  # a while in which all of it could have been read
    assert room - 2 <= len(pulled) <= room + 1
    is_away = False
    running.join(timeout=20)
    assert running.value == "completed"
    batch = house.backend.store.read(job_id, BEGINNING, 1000)
    stored = list(batch.tokens)
    while not batch.is_done:
        batch = house.backend.store.read(job_id, batch.cursor, 1000)
        stored += batch.tokens
    assert [decode(token) for token in stored] == tokens
