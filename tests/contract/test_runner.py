"""The runner: every job that it takes comes to its end, is lost to another, or is handed over."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.contract.runner_harness import PROMPT, BuildRunner, RunnerHarness, endless, mute, whole
from tokentail.errors import StoreFull, StoreUnavailable
from tokentail.jobs.job import Claim, FailureKind, FinishReason, Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End, decode
from tokentail.redis.backend import now_ms
from worker.chunk import Accepted, Chunk, Finish, Terminal, provider_failure


def test_a_job_is_seen_to_its_end(build: BuildRunner) -> None:
    """The job's text is in the log, its status is completed, and nothing looks for it any more."""
    harness = build(whole)
    job_id = harness.submit()
    assert harness.run(job_id) == "completed"
    job = harness.job(job_id)
    assert (harness.text(job_id), job.status) == ("Hello", Status.COMPLETED)
    assert job.end is not None
    assert (job.end["finish_reason"], job.end["provider_reason"]) == ("stop", "stop")
    assert harness.backend.admission.open_jobs() == []
    assert harness.runner.attempts == []


def test_a_job_that_was_cancelled_in_the_queue_is_not_begun(build: BuildRunner) -> None:
    """The provider is never asked."""
    harness = build(whole)
    job_id = harness.submit()
    harness.backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    assert harness.run(job_id) == "refused"
    assert not harness.provider.is_closed.is_set()


@pytest.mark.parametrize("say", [endless, mute])
def test_a_cancelled_job_leaves_its_upstream_at_once(
    build: BuildRunner, say: Callable[[], Iterator[list[Chunk]]]
) -> None:
    """Whether the provider speaks or is silent: told of it, the runner is gone within half a second."""
    harness = build(say)
    job_id = harness.submit()
    running = harness.spawn(job_id)
    harness.backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    harness.runner.closed_elsewhere(job_id)
    assert harness.provider.is_closed.wait(timeout=0.5)
    running.join(timeout=5)
    assert running.value == "closed"
    assert harness.job(job_id).status is Status.CANCELLED


@pytest.mark.parametrize("say", [endless, mute])
def test_a_cancellation_whose_news_was_lost_is_found(
    build: BuildRunner, say: Callable[[], Iterator[list[Chunk]]]
) -> None:
    """The next append, or the next look after the logs, is refused."""
    harness = build(say)
    job_id = harness.submit()
    running = harness.spawn(job_id)
    harness.backend.store.close(job_id, End(Status.CANCELLED), now_ms())
    harness.runner.look_after_logs()
    running.join(timeout=5)
    assert running.value == "closed"


def test_what_was_shown_before_a_failure_stays(build: BuildRunner) -> None:
    """A failed job says why, and keeps its partial text."""

    def breaking() -> Iterator[list[Chunk]]:
        yield ["so far"]
        raise provider_failure(FailureKind.TRUNCATED, "cut", is_retryable=True)

    harness = build(breaking, TOKENTAIL_RETRIES="0")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: truncated"
    assert harness.text(job_id) == "so far"
    assert harness.job(job_id).status is Status.FAILED
    assert harness.error(job_id) == {"type": "truncated", "message": "cut", "is_retryable": True}


def test_a_bug_ends_the_job_and_tells_no_secrets(build: BuildRunner, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong inside, the reader receives a failure, and the log does not quote the prompt."""

    def buggy() -> Iterator[list[Chunk]]:
        yield ["so far"]
        raise KeyError(PROMPT)

    harness = build(buggy)
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: internal"
    assert harness.error(job_id)["type"] == "internal"
    assert "job.crashed" in caplog.text
    assert PROMPT not in caplog.text + str([record.__dict__ for record in caplog.records]) + str(harness.error(job_id))


def test_silence_fails_the_job(build: BuildRunner) -> None:
    """A provider that stops in mid-sentence does not hold its reader for ever."""
    harness = build(mute, TOKENTAIL_IDLE_TIMEOUT_S="0.2")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: timeout"
    assert harness.text(job_id) == "one word"
    assert harness.provider.is_closed.is_set()


def test_a_log_has_a_limit(build: BuildRunner) -> None:
    """An endless answer ends as a failure that names the limit, and what fits is kept."""
    harness = build(endless, TOKENTAIL_MAX_LOG_BYTES="1024")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: truncated"
    assert "1024" in harness.error(job_id)["message"]
    assert harness.text(job_id).startswith("and on on ")


def test_a_model_that_is_served_no_more_fails_the_job(build: BuildRunner) -> None:
    """Accepted when another worker lived, taken by one that cannot serve it."""
    harness = build(whole)
    job_id = harness.submit("gone/model")
    assert harness.run(job_id) == "failed: rejected"


def test_a_job_that_is_handed_over_is_done_by_another(build: BuildRunner) -> None:
    """The next worker begins a new generation; a reader of the first gets a reset."""
    harness = build(endless)
    job_id = harness.submit()
    running = harness.spawn(job_id)
    seen = harness.backend.store.read(job_id, BEGINNING, 1000)
    harness.runner.hand_over()
    running.join(timeout=5)
    assert running.value == "handed over"
    assert harness.job(job_id).status is Status.QUEUED
    assert job_id in harness.backend.queue.waiting()
    another = build(whole)
    assert another.run(job_id) == "completed"
    after = harness.backend.store.read(job_id, seen.cursor, 1000)
    assert (after.is_reset, harness.text(job_id)) == (True, "Hello")


@pytest.mark.parametrize("fault", [StoreUnavailable, StoreFull])
def test_a_claim_that_went_wrong_is_made_good(build: BuildRunner, fault: type[Exception]) -> None:
    """The store took the claim and the answer never came, or it was full: the same attempt asks again."""
    harness = build(whole)
    job_id = harness.submit()
    claim_many, tries = harness.backend.store.claim_many, []

    def losing_the_first(claims: Sequence[tuple[str, str, int]], *rest: Any) -> list[Claim | Exception | None]:
        taken = claim_many(claims, *rest)
        tries.append(claims[0][1])
        if len(tries) == 1:
            raise fault
        return taken

    harness.backend.store.claim_many = losing_the_first  # type: ignore[method-assign, assignment]  # the one call that is to lose its reply
    assert harness.run(job_id) == "completed"
    assert len(tries) == 2
    assert harness.job(job_id).attempts == 1


def _failing(times: int, *before: str) -> Callable[[], Iterator[list[Chunk]]]:
    """A provider that fails so often, after having said something, and then answers."""
    left = [times]

    def say() -> Iterator[list[Chunk]]:
        if left[0]:
            left[0] -= 1
            for token in before:
                yield [token]
            raise provider_failure(FailureKind.OVERLOADED, "busy", is_retryable=True)
        yield from whole()

    return say


def test_a_provider_that_fails_before_the_first_token_is_called_again_unseen(build: BuildRunner) -> None:
    """Readers see one generation, and nothing to clear."""
    harness = build(_failing(2))
    job_id = harness.submit()
    early = harness.backend.store.read(job_id, BEGINNING, 10).cursor
    assert harness.run(job_id) == "completed"
    batch = harness.backend.store.read(job_id, early, 100)
    assert (batch.is_reset, harness.text(job_id)) == (False, "Hello")
    assert [decode(e)["type"] for e in batch.elements if e.startswith(b"{")] == ["start", "end"]


def test_a_provider_that_fails_in_mid_answer_begins_a_new_generation(build: BuildRunner) -> None:
    """A reader of the first generation gets a reset; the text is that of the last generation alone."""
    harness = build(_failing(1, "false ", "start"))
    job_id = harness.submit()
    running = gevent.spawn(harness.runner.run, job_id)
    harness.greenlets.append(running)
    harness.until(lambda: harness.text(job_id) == "false start")
    seen = harness.backend.store.read(job_id, BEGINNING, 10).cursor
    running.join(timeout=10)
    batch = harness.backend.store.read(job_id, seen, 100)
    assert (batch.is_reset, harness.text(job_id), batch.token_count) == (True, "Hello", 2)


def test_a_provider_that_keeps_failing_is_given_up(build: BuildRunner) -> None:
    """The number of calls is bounded, and the last failure is the job's."""
    harness = build(_failing(5), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: overloaded"


def test_a_job_keeps_to_the_deadline_that_it_asked_for(build: BuildRunner) -> None:
    """Shorter than the deployment's."""
    harness = build(mute)
    body = b'{"prompt": "p", "timeouts": {"idle_s": 0.1}}'
    submitter = Submitter(harness.backend.store, harness.backend.queue, harness.backend.admission, now_ms)
    job_id = submitter.submit("", parse_request(body), "scripted", None).job_id
    assert harness.run(job_id) == "failed: timeout"


def test_a_deadline_that_passes_as_the_answer_ends_spoils_nothing(build: BuildRunner) -> None:
    """The answer is complete: it is stored once, and nobody is asked again, whatever the clock says in that moment."""

    def slow_to_end() -> Iterator[list[Chunk]]:
        yield ["Hello", Finish(FinishReason.STOP, "stop"), Terminal()]
        # Past the deadline, without giving way to the loop that would notice.
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        gevent.idle()

    harness = build(slow_to_end, TOKENTAIL_IDLE_TIMEOUT_S="0.25")
    for _ in range(5):
        job_id = harness.submit()
        assert harness.run(job_id) in {"completed", "failed: timeout"}
        job = harness.job(job_id)
        assert (job.attempts, job.enqueues, job.status.is_closed) == (1, 1, True)


def test_a_job_that_comes_back_to_who_lost_it_is_another_attempt(build: BuildRunner) -> None:
    """A worker that was paused takes a job that was taken from it: the old attempt ends, the new one goes on."""
    first, second = Event(), Event()
    goes_on = [first, second]

    def say() -> Iterator[list[Chunk]]:
        waits_for = goes_on.pop(0)
        yield ["Hel"]
        waits_for.wait()
        yield ["lo", Finish(FinishReason.STOP, "stop"), Terminal()]

    harness = build(say)
    job_id = harness.submit()
    lost = harness.spawn(job_id)
    job = harness.job(job_id)
    assert harness.backend.store.requeue(job_id, job.attempt, job.enqueues, now_ms(), is_loss=True)
    taken = harness.spawn(job_id)
    harness.until(lambda: not goes_on)
    first.set()
    lost.join(timeout=5)
    assert lost.value == "lost"
    assert harness.runner.attempts == [harness.job(job_id).attempt]
    second.set()
    taken.join(timeout=5)
    assert taken.value == "completed"
    assert (harness.text(job_id), harness.runner.attempts) == ("Hello", [])


def test_a_job_that_cannot_be_given_back_keeps_no_other_from_it(build: BuildRunner) -> None:
    """A job whose record cannot be read is left; the others are in the queue again, and the worker stops."""
    harness = build(endless)
    odd, other = harness.submit(), harness.submit()
    running = [harness.spawn(odd), harness.spawn(other)]
    harness.backend.buffer_client.hset(f"tt:{{{odd}}}:job", "attempts", "many")
    harness.runner.hand_over()
    gevent.joinall(running, timeout=5)
    assert [greenlet.value for greenlet in running] == ["handed over", "handed over"]
    assert harness.job(other).status is Status.QUEUED


def unreadable(harness: RunnerHarness, job_id: str) -> None:
    """As a newer web process would store it."""
    harness.backend.buffer_client.set(f"tt:{{{job_id}}}:request", b'{"prompt": "why", "model": "scripted", "newer": 1}')


def unwritable() -> Iterator[list[Chunk]]:
    yield [Accepted("\ud800"), "Hello", Finish(FinishReason.STOP, "stop"), Terminal()]


@pytest.mark.parametrize(
    "spoil", [unreadable, lambda harness, job_id: None], ids=["unreadable request", "unwritable end"]
)
def test_a_job_that_cannot_even_fail_counts_as_lost(
    build: BuildRunner, spoil: Callable[[RunnerHarness, str], None]
) -> None:
    """A job whose end cannot be written is not tried again at once: the sweep finds that no lease names its attempt."""
    harness = build(unwritable, TOKENTAIL_MAX_LOSSES="2")
    job_id = harness.submit()
    spoil(harness, job_id)
    for losses in range(2):
        harness.backend.queue.discard(job_id, losses + 1)  # as a worker takes it
        assert harness.run(job_id) == "dropped"
        job = harness.job(job_id)
        assert (job.status, job.losses, harness.runner.attempts) == (Status.RUNNING, losses, [])
        assert harness.backend.queue.waiting() == {}
        harness.backend.sweeper.take_back(job)
    assert harness.job(job_id).status is Status.FAILED
    assert harness.error(job_id)["type"] == "internal"
