"""Law 8: the holder heals a store that lost its tail, at the same positions; an attempt that lost its claim stops."""

from dataclasses import replace

import pytest

from tests.contract.single_job import CANCELLED, COMPLETED, NOW_MS, FourLineClient, SingleJob
from tokentail.errors import AttemptLost
from tokentail.jobs.job import Status
from tokentail.log.writer import LogWriter


def test_the_holder_puts_back_what_was_lost_with_its_next_append(job: SingleJob) -> None:
    """The store answers that it has less than expected, and gets it all, where it was."""
    writer = job.start("a")
    snapshot = job.snapshot()
    job.write(writer, "b", "c")
    before = job.stored()
    job.roll_back(snapshot)
    job.write(writer, "d")
    assert job.stored()[: len(before)] == before
    assert job.text() == "abcd"
    assert job.view().token_count == 4


def test_a_holder_with_nothing_to_say_notices_by_probing(job: SingleJob) -> None:
    """A probe changes a healthy store nothing and heals one that lost its tail."""
    writer = job.start("a")
    snapshot = job.snapshot()
    job.write(writer, "b", "c")
    healthy, viewed = job.snapshot(), job.backend.store.view(job.id)
    job.probe(writer)
    assert job.snapshot() == healthy
    job.roll_back(snapshot)
    job.probe(writer)
    # The record's totals may count more of the same elements than before, which a view does not show.
    assert replace(job.snapshot(), record=healthy.record) == healthy
    assert job.backend.store.view(job.id) == viewed


def test_a_probe_sends_on_what_was_not_sent_yet(job: SingleJob) -> None:
    """A probe counts nothing as settled that the store does not have."""
    writer = job.start("a")
    for token in ("b", "c", "d"):
        writer.write(token)
    job.probe(writer)
    assert job.text() == "abcd"


def test_the_end_is_put_back_too(job: SingleJob) -> None:
    """After the end, the writer keeps what it wrote: the job is closed anew, its expiry set anew."""
    writer = job.start("a")
    snapshot = job.snapshot()
    job.write(writer, "b", COMPLETED)
    job.roll_back(snapshot)
    assert job.status() is Status.RUNNING
    job.probe(writer)
    assert job.status() is Status.COMPLETED
    assert [element.startswith(b'{"type":"end"') for element in job.stored()] == [False, False, False, False, True]
    assert all(ttl > 0 for ttl in job.ttls_ms())


def test_a_start_that_was_lost_begins_the_same_generation_again(job: SingleJob) -> None:
    """Both of the attempt's generations come back, and the current one is current."""
    writer = job.claim()
    snapshot = job.snapshot()
    writer.start(writer.generation, "demo", "demo")
    job.write(writer, "a")
    writer.start("secondgo", "demo", "demo")
    job.write(writer, "b")
    before = job.snapshot()
    job.roll_back(snapshot)
    job.probe(writer)
    assert job.snapshot() == before


def test_a_holder_whose_claim_was_lost_stops(job: SingleJob) -> None:
    """The store knows nothing of this attempt any more; it may not write, now or after another has the job."""
    snapshot = job.snapshot()
    writer = job.start("a")
    job.roll_back(snapshot)
    with pytest.raises(AttemptLost):
        job.probe(writer)
    job.start("x")
    with pytest.raises(AttemptLost):
        job.probe(writer)
    assert job.text() == "x"


def test_a_holder_whose_claim_was_lost_after_its_end_stops(job: SingleJob) -> None:
    """The job will run again; an old end is not put on top."""
    snapshot = job.snapshot()
    writer = job.write(job.start("a"), COMPLETED)
    job.roll_back(snapshot)
    with pytest.raises(AttemptLost):
        job.probe(writer)
    assert (len(job.stored()), job.status()) == (1, Status.QUEUED)


def test_a_lost_hand_over_leaves_the_job_to_the_first_holder(job: SingleJob) -> None:
    """The attempt that the store names as the holder is the one that goes on."""
    first = job.start("a")
    snapshot = job.snapshot()
    job.requeue()
    second = job.start("x")
    job.roll_back(snapshot)
    with pytest.raises(AttemptLost):
        job.probe(second)
    job.write(first, "b", COMPLETED)
    assert job.text() == "ab"


@pytest.mark.parametrize("is_ended", [False, True])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_list_that_alone_was_cut_is_healed(job: SingleJob, lost: int, is_ended: bool) -> None:
    """The record says more than the list has; the list is filled up, and an end stays one."""
    writer = job.write(job.start("a", "b", "c", "d"), *([COMPLETED] if is_ended else ["e"]))
    before = job.snapshot()
    job.backend.buffer_client.rpop(before.names[1], lost)
    batch = job.read()
    assert not batch.is_done
    assert batch.end_element is None
    job.probe(writer)
    after = job.snapshot()
    assert (after.log, after.record[b"status"]) == (before.log, before.record[b"status"])
    assert job.read().is_done is is_ended


def test_what_another_attempt_wrote_and_the_store_lost_nobody_puts_back(job: SingleJob) -> None:
    """An attempt can heal only what it wrote; where more is missing it stops."""
    job.start("a", "b")
    job.requeue()
    writer = job.start("x")
    names = job.snapshot().names
    job.backend.buffer_client.rpop(names[1], 4)
    with pytest.raises(AttemptLost, match="did not write"):
        job.probe(writer)


def test_readers_of_the_lost_tail_read_on_once_it_is_healed(job: SingleJob) -> None:
    """Cursors in the lost tail are good again after the healing: same positions, same tokens."""
    writer = job.start("a")
    snapshot = job.snapshot()
    job.write(writer, "b", "c")
    client = FourLineClient(job)
    client.poll()
    job.roll_back(snapshot)
    job.write(writer, "d")
    assert not client.poll().is_reset
    assert client.text == "abcd"


def test_readers_who_come_before_the_healing_are_reset_and_lose_nothing(job: SingleJob) -> None:
    """A cursor beyond the log gets a reset, so that no reader waits on it for ever."""
    writer = job.start("a")
    snapshot = job.snapshot()
    job.write(writer, "b", "c")
    client = FourLineClient(job)
    client.poll()
    job.roll_back(snapshot)
    assert client.poll().is_reset
    assert client.text == "a"
    job.probe(writer)
    client.poll()
    assert client.text == "abc"


def test_tokens_of_an_attempt_whose_claim_was_lost_never_mix_with_the_next_ones(job: SingleJob) -> None:
    """The next attempt's generation has another name, so an old cursor that lies within the new log is no good."""
    client = FourLineClient(job)
    client.poll()
    snapshot = job.snapshot()
    job.start("a", "b")
    client.poll()
    job.roll_back(snapshot)
    job.start("x", "y", "z")
    assert client.poll().is_reset
    assert client.text == "xyz"


def test_a_cancel_that_was_lost_leaves_the_job_to_be_swept(job: SingleJob) -> None:
    """The store says that the old attempt holds it: its writer may go on, or the sweep takes it back."""
    writer = job.start("a")
    snapshot = job.snapshot()
    job.close(CANCELLED)
    job.roll_back(snapshot)
    job.write(writer, "b", COMPLETED)
    assert job.text() == "ab"
    assert job.status() is Status.COMPLETED


def test_long_logs_are_healed_in_several_appends(job: SingleJob) -> None:
    """What was lost may be more than one append takes."""
    writer = job.start()
    snapshot = job.snapshot()
    job.write(writer, *("x" for _ in range(2500)), COMPLETED)
    before = job.stored()
    job.roll_back(snapshot)
    job.probe(writer)
    assert job.stored() == before
    assert writer.probe(NOW_MS) is not None


def test_a_writer_that_wrote_nothing_has_nothing_to_probe(job: SingleJob) -> None:
    """There is nothing that the store could have lost."""
    writer: LogWriter = job.claim()
    assert writer.probe(NOW_MS) is None
