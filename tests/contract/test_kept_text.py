"""What was shown stays until the next answer has content: a generation starts with its first content."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.contract.runner_harness import BuildRunner, RunnerHarness, calls
from tests.contract.single_job import CANCELLED, COMPLETED, FAILED, SingleJob
from tokentail.jobs.job import FailureKind, FinishReason, Status, Usage
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import Reasoning, Skipped, ToolCall, decode
from worker.chunk import Chunk, Finish, Terminal, UsageReport, provider_failure

STOP = Finish(FinishReason.STOP, "stop")
BUSY = provider_failure(FailureKind.OVERLOADED, "busy", is_retryable=True)
CUT = provider_failure(FailureKind.TRUNCATED, "cut", is_retryable=True)


def shown_then_silence() -> Iterator[list[Chunk]]:
    yield ["shown"]
    Event().wait()


def events(harness: RunnerHarness, job_id: str) -> list[Any]:
    """The current generation, an event as its type alone."""
    elements = harness.backend.store.read(job_id, BEGINNING, 1000).elements
    return [e if isinstance(e, str) else e["type"] for e in map(decode, elements)]


def test_a_provider_that_dies_for_good_leaves_what_it_has_shown(build: BuildRunner) -> None:
    """The retry gave nothing: the job is failed, with the text of the call before, and no reader had to clear it."""
    harness = build(calls(["so ", "far", CUT], [BUSY]), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: overloaded"
    assert (harness.text(job_id), harness.job(job_id).token_count) == ("so far", 2)
    assert events(harness, job_id) == ["start", "so ", "far", "end"]


@pytest.mark.parametrize("content", ["again", Reasoning("hm"), ToolCall(0, "a", "f")])
def test_the_next_generation_starts_with_its_first_content(build: BuildRunner, content: Chunk) -> None:
    """While the retry has given nothing, reads have the old text, and their cursors are good."""
    asked, goes_on = Event(), Event()

    def say() -> Iterator[list[Chunk]]:
        if not asked.is_set():
            yield ["old"]
            asked.set()
            raise CUT
        yield [UsageReport(Usage(7, 0))]
        goes_on.wait()
        yield [content]
        yield [STOP, Terminal()]

    harness = build(say, TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    harness.greenlets.append(running := gevent.spawn(harness.runner.run, job_id))
    harness.until(harness.provider.is_closed.is_set)
    seen = harness.backend.store.read(job_id, BEGINNING, 10).cursor
    batch = harness.backend.store.read(job_id, seen, 10)
    assert (batch.is_reset, harness.text(job_id), batch.status) == (False, "old", Status.RUNNING)
    goes_on.set()
    running.join(timeout=10)
    assert harness.backend.store.read(job_id, seen, 10).is_reset
    assert "old" not in events(harness, job_id)


def test_what_only_goes_back_with_the_next_turn_starts_no_generation(build: BuildRunner) -> None:
    """A retry that gave a state and nothing to show leaves the old text; one that shows something has it."""
    state = Reasoning("", {"dialect": "x"})
    harness = build(calls(["so far", CUT], [state, CUT], [state, CUT]), TOKENTAIL_RETRIES="2")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: truncated"
    assert events(harness, job_id) == ["start", "so far", "end"]
    harness = build(calls(["so far", CUT], [state, "whole", STOP, Terminal()]), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "completed"
    assert events(harness, job_id) == ["start", "reasoning", "whole", "end"]


def test_what_a_lost_worker_has_shown_stays(build: BuildRunner) -> None:
    """The attempt after it has a provider that only fails: its readers keep the text of the attempt before."""
    first = build(shown_then_silence)
    job_id = first.submit()
    first.greenlets.append(running := gevent.spawn(first.runner.run, job_id))
    first.until(lambda: first.text(job_id) == "shown")
    seen = first.backend.store.read(job_id, BEGINNING, 10).cursor
    first.runner.hand_over()
    running.join(timeout=5)
    second = build(calls([BUSY]), TOKENTAIL_RETRIES="0")
    assert second.run(job_id) == "failed: overloaded"
    batch = second.backend.store.read(job_id, seen, 10)
    assert (batch.is_reset, batch.is_done, second.text(job_id)) == (False, True, "shown")


def test_an_answer_without_content_that_failed_has_no_start(build: BuildRunner) -> None:
    """The log has the end alone, and cursor 0.1, which was given before, is good."""
    harness = build(calls([UsageReport(Usage(5, 0)), Skipped("event", "odd", 9), BUSY]), TOKENTAIL_RETRIES="0")
    job_id = harness.submit()
    seen = harness.backend.store.read(job_id, BEGINNING, 10).cursor
    assert harness.run(job_id) == "failed: overloaded"
    batch = harness.backend.store.read(job_id, seen, 10)
    assert (batch.is_reset, batch.is_done) == (False, True)
    assert events(harness, job_id) == ["end"]
    assert harness.end(job_id)["usage"]["input_tokens"] == 5


def test_a_completed_answer_without_content_has_a_start(build: BuildRunner) -> None:
    """That end is the answer, and replaces what a call before it had shown; what it skipped is named."""
    blocked = Finish(FinishReason.CONTENT_FILTER, "SAFETY")
    harness = build(calls(["old", CUT], [Skipped("part", "odd", 9), blocked]), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "completed"
    assert events(harness, job_id) == ["start", "skipped", "end"]
    assert harness.end(job_id)["finish_reason"] == "content_filter"


def test_skipped_content_comes_after_the_start_and_starts_nothing(build: BuildRunner) -> None:
    """The note waits for the first content, and is not told where its call failed."""
    odd, other = Skipped("event", "odd", 9), Skipped("event", "other", 9)
    harness = build(calls([odd, BUSY], [other, "text", STOP, Terminal()]), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "completed"
    assert events(harness, job_id) == ["start", "skipped", "text", "end"]
    assert b"other" in harness.backend.store.read(job_id, BEGINNING, 10).elements[1]


def test_usage_and_reason_of_a_failed_call_are_not_those_of_the_next(build: BuildRunner) -> None:
    """The second call counts nothing and says no reason."""
    failed: list[Chunk | Exception] = ["one", UsageReport(Usage(9, 99, 9, 9)), STOP, CUT]
    harness = build(calls(failed, ["two", Terminal()]), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "completed"
    end = harness.end(job_id)
    assert (end["usage"], end["finish_reason"], end["provider_reason"]) == (None, None, None)


def test_the_usage_of_a_failed_job_is_that_of_the_text_that_stays(build: BuildRunner) -> None:
    """A retry that showed nothing counted its input only; the text is of the call before."""
    shown = UsageReport(Usage(9, 99))
    harness = build(calls(["one", shown, CUT], [UsageReport(Usage(9, 0)), BUSY]), TOKENTAIL_RETRIES="1")
    job_id = harness.submit()
    assert harness.run(job_id) == "failed: overloaded"
    end = harness.end(job_id)
    assert (harness.text(job_id), end["usage"]["output_tokens"], end["finish_reason"]) == ("one", 99, None)


def test_content_after_a_reason_takes_it_back(build: BuildRunner) -> None:
    """The last reason counts, and an answer that went on without one has none."""
    length = Finish(FinishReason.LENGTH, "length")
    harness = build(calls([STOP, "one", length, Terminal()], ["one", length, " two", Terminal()]))
    ends = []
    for job_id in (harness.submit(), harness.submit()):
        assert harness.run(job_id) == "completed"
        ends.append(harness.end(job_id)["finish_reason"])
    assert ends == ["length", None]


# -- the writer, over each store ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [FAILED, COMPLETED, CANCELLED])
def test_only_success_starts_a_generation_that_has_no_content(job: SingleJob, end: Any) -> None:
    """Any other end belongs to what was shown before."""
    job.start("old")
    job.requeue()
    writer = job.claim()
    writer.begin("second", "p", "m")
    job.write(writer, end)
    assert job.text() == ("" if end is COMPLETED else "old")
    assert job.view().status is end.status


def test_a_position_in_an_answer_that_was_not_shown_starts_nothing(job: SingleJob) -> None:
    """The position outlives its worker, and the next one knows that its generation is yet to start."""
    job.start("old")
    job.requeue()
    writer = job.claim()
    writer.begin("second", "p", "m")
    writer.upstream = "resp_2"
    job.drain(writer)
    assert job.text() == "old"
    job.requeue()
    third = job.claim()
    assert (third.upstream, third.is_upstream_shown) == ("resp_2", False)
    third.begin("third", "p", "m")
    third.upstream = "resp_2"
    job.write(third, "new")
    assert job.text() == "new"
    job.requeue()
    fourth = job.claim()
    assert (fourth.upstream, fourth.is_upstream_shown) == ("resp_2", True)
