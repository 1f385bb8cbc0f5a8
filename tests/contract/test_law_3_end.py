"""Law 3: exactly one `end`, the last element, changes the status in the same script; the first one wins."""

import msgspec
import pytest
from msgspec.structs import replace

from tests.contract.key_snapshot import job_keys
from tests.contract.single_job import CANCELLED, COMPLETED, FAILED, NOW_MS, FourLineClient, SingleJob
from tokentail.errors import AttemptLost
from tokentail.jobs.job import Status, Usage
from tokentail.log.counts import stopped_usage
from tokentail.log.element import End, decode


def is_end(element: bytes) -> bool:
    value = decode(element)
    return isinstance(value, dict) and value["type"] == "end"


def test_the_end_closes_the_job_in_the_same_instant(job: SingleJob) -> None:
    """A batch that holds the `end` tells the closed status; one before it does not."""
    writer = job.start("a")
    before = job.read()
    job.write(writer, COMPLETED)
    after = job.read()
    assert (before.status, before.end_element, before.is_done) == (Status.RUNNING, None, False)
    assert (after.status, after.is_done) == (Status.COMPLETED, True)
    assert after.elements[-1] == after.end_element
    assert after.end is not None
    assert after.end["finish_reason"] == "stop"


def test_no_more_yet_and_no_more_ever_are_told_apart(job: SingleJob) -> None:
    """A read is done only when the reader has everything, the end included, whatever the limit."""
    writer = job.start("a")
    waiting = job.read(str(job.read().cursor))
    assert (waiting.elements, waiting.is_done) == ((), False)
    job.write(writer, COMPLETED)
    assert [job.read("0", limit).is_done for limit in (1, 2, 3)] == [False, False, True]
    finished = job.read(str(job.read().cursor))
    assert (finished.elements, finished.is_done) == ((), True)


def test_a_running_job_is_cancelled_at_once(job: SingleJob) -> None:
    """The `end` is there before the worker knows; the worker finds itself fenced out."""
    writer = job.start("a")
    assert job.close(CANCELLED)
    assert job.read().is_done
    assert job.status() is Status.CANCELLED
    writer.write("b")
    with pytest.raises(AttemptLost):
        job.drain(writer)
    assert job.text() == "a"


def test_a_queued_job_is_cancelled_at_once(job: SingleJob) -> None:
    """Nobody can claim it any more."""
    client = FourLineClient(job)
    client.poll()
    assert job.close(CANCELLED)
    assert job.backend.store.claim(job.id, "attempt", "w1", NOW_MS) is None
    batch = client.poll()
    assert (batch.is_done, batch.is_reset, batch.status) == (True, False, Status.CANCELLED)


@pytest.mark.parametrize("late", [CANCELLED, FAILED])
def test_the_first_end_wins_against_a_late_close(job: SingleJob, late: End) -> None:
    """The second close changes nothing."""
    job.write(job.start("a"), COMPLETED)
    before = job.snapshot()
    assert not job.close(late)
    assert job.snapshot().record == before.record
    assert job.stored() == before.log


@pytest.mark.parametrize("first", [CANCELLED, FAILED])
def test_the_first_end_wins_against_the_workers(job: SingleJob, first: End) -> None:
    """A cancelled job never flips to completed."""
    writer = job.start("a")
    writer.write("b")
    writer.write(COMPLETED)
    job.close(first)
    with pytest.raises(AttemptLost):
        job.drain(writer)
    assert job.status() is first.status
    assert [is_end(element) for element in job.stored()] == [False, False, False, True]


def test_closing_twice_ends_once(job: SingleJob) -> None:
    """Cancel is idempotent."""
    assert job.close(CANCELLED)
    assert not job.close(CANCELLED)
    assert sum(map(is_end, job.stored())) == 1


def test_nothing_follows_the_end_not_even_from_its_own_writer(job: SingleJob) -> None:
    """The writer of the end stays the holder so that it can heal; it still cannot add to the log."""
    writer = job.start("a")
    writer.write(COMPLETED)
    append = writer.next_append(NOW_MS)
    assert append is not None
    length = job.backend.store.append(append).length
    late = replace(append, expected=length, elements=(b'"late"',), end_status=None)
    with pytest.raises(AttemptLost):
        job.backend.store.append(late)
    assert is_end(job.stored()[-1])


def test_an_ended_writer_takes_nothing_more(job: SingleJob) -> None:
    """The mistake shows where it is made, before the store is asked."""
    writer = job.start("a")
    writer.write(COMPLETED)
    with pytest.raises(ValueError, match="ended"):
        writer.write("b")


def test_only_its_holder_completes_a_job(job: SingleJob) -> None:
    """Closing from outside fails or cancels; whether an answer is complete is for its writer to say."""
    with pytest.raises(ValueError, match="holder"):
        job.close(COMPLETED)


def test_a_close_for_one_holder_leaves_another_alone(job: SingleJob) -> None:
    """The sweep fails a job only if nobody claimed it meanwhile."""
    writer = job.start("a")
    assert not job.backend.store.close(job.id, FAILED, NOW_MS, holder="")
    assert not job.backend.store.close(job.id, FAILED, NOW_MS, holder="somebody")
    assert job.status() is Status.RUNNING
    assert job.backend.store.close(job.id, FAILED, NOW_MS, holder=writer.attempt)
    assert job.status() is Status.FAILED


def test_a_stopped_answer_has_the_usage_that_its_writer_knew(job: SingleJob) -> None:
    """A cancel closes the job without the worker; what the provider had counted is in the `end` all the same."""
    writer = job.claim()
    writer.start(writer.generation, "demo", "demo")
    writer.usage = Usage(25, None, None, 7)
    job.write(writer, "eight by", "tes")
    job.close(CANCELLED)
    end = job.view().end
    assert end is not None
    assert msgspec.convert(end["usage"], Usage) == stopped_usage(Usage(25, None, None, 7), 11)


@pytest.mark.parametrize(("usage", "text"), [(Usage(25, 3, 1, 0), "text"), (Usage(25), ""), (None, "text"), (None, "")])
def test_the_store_makes_the_usage_that_a_worker_would_make(job: SingleJob, usage: Usage | None, text: str) -> None:
    """One rule for a job that is cancelled and for one that its worker fails."""
    writer = job.claim()
    writer.start(writer.generation, "demo", "demo")
    writer.usage = usage
    job.write(writer, *([text] if text else []))
    job.close(FAILED)
    end = job.view().end
    assert end is not None
    assert end["usage"] == msgspec.to_builtins(stopped_usage(usage, len(text)))


def test_counts_that_came_without_a_token_are_kept(job: SingleJob) -> None:
    """The prompt of a model that thought until it was cancelled has been paid for."""
    writer = job.start()
    writer.usage = Usage(25)
    job.drain(writer)
    job.close(CANCELLED)
    assert (job.view().end or {})["usage"]["input_tokens"] == 25


def test_an_attempt_that_goes_on_knows_the_counts_of_the_one_before(job: SingleJob) -> None:
    """A hand-over in mid-answer loses no count."""
    writer = job.claim()
    writer.start(writer.generation, "demo", "demo")
    writer.usage = Usage(25, 3)
    job.write(writer, "text")
    job.requeue()
    assert (job.claim().usage, job.view().end) == (Usage(25, 3), None)


def test_foreign_counts_spoil_no_end(job: SingleJob) -> None:
    """What another program wrote in the record does not reach the log."""
    job.start("a")
    job.backend.buffer_client.hset(job_keys(job.id)[0], "counts", '1 1"} 1 1 1')
    job.close(CANCELLED)
    assert (job.view().end or {})["usage"] == {
        **{"input_tokens": 1, "output_tokens": None, "reasoning_tokens": 1, "cached_tokens": 1},
        "output_tokens_estimated": 1,
    }
