"""Law 1: a good cursor goes on, any other is reset to the current generation's start, and generations never mix."""

import pytest

from tests.contract.single_job import COMPLETED, FourLineClient, SingleJob, other_generation
from tokentail.log.element import decode


def test_a_good_cursor_goes_on_where_the_batch_ended(job: SingleJob) -> None:
    """Whatever the limit, the batches join to the text, each starting where the one before it stopped."""
    job.write(job.start("a", "b", "c", "d", "e"), COMPLETED)
    for limit in range(1, 9):
        client = FourLineClient(job, limit)
        firsts, stops = [], []
        while not client.is_done:
            batch = client.poll()
            assert not batch.is_reset
            assert len(batch.elements) <= limit
            firsts.append(batch.first)
            stops.append(batch.cursor.index)
        assert firsts == [1, *stops[:-1]]
        assert client.text == "abcde"


def test_a_cursor_at_the_end_of_the_log_is_good_and_waits(job: SingleJob) -> None:
    """The index may be the log's length: no more yet."""
    job.start("a", "b")
    cursor = str(job.read().cursor)
    batch = job.read(cursor)
    assert (batch.elements, batch.is_reset, batch.is_done) == ((), False, False)
    assert str(batch.cursor) == cursor


def test_a_cursor_beyond_the_log_is_reset(job: SingleJob) -> None:
    """An index that the log has not reached belongs to a lost past."""
    writer = job.start("a", "b")
    batch = job.read(f"{writer.generation}.5")
    assert batch.is_reset
    assert [decode(token) for token in batch.tokens] == ["a", "b"]
    assert batch.first == 1


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 999_999_999])
def test_a_cursor_of_another_generation_is_reset_wherever_it_stands(job: SingleJob, index: int) -> None:
    """A generation that the job does not have now is foreign, within the log or not."""
    writer = job.start("a", "b")
    batch = job.read(f"{other_generation()}.{index}")
    assert batch.is_reset
    assert (batch.generation, batch.first, batch.tokens) == (writer.generation, 1, [b'"a"', b'"b"'])


def test_a_cursor_before_the_generations_start_is_reset(job: SingleJob) -> None:
    """Reads never begin before the current generation, whose name makes no older index good."""
    job.start("old")
    job.requeue()
    writer = job.start("new")
    batch = job.read(f"{writer.generation}.1")
    assert batch.is_reset
    assert batch.tokens == [b'"new"']
    assert batch.first == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 1000])
def test_no_batch_mixes_generations_whatever_its_limit(job: SingleJob, limit: int) -> None:
    """From every cursor of the old generation, at every limit, only the new one is read, after a reset."""
    old = job.start("a", "b", "c")
    job.requeue()
    new = job.start("x", "y")
    for index in range(8):
        batch = job.read(f"{old.generation}.{index}", limit)
        assert batch.is_reset
        assert (batch.generation, batch.first) == (new.generation, 5)
        assert set(batch.tokens) <= {b'"x"', b'"y"'}


def test_a_generation_that_starts_within_an_attempt_resets_its_readers(job: SingleJob) -> None:
    """A retry after shown tokens is a new generation, though the worker is the same."""
    writer = job.start("a", "b")
    client = FourLineClient(job)
    client.poll()
    writer.start("secondgo", "demo", "demo")
    job.write(writer, "c")
    assert client.poll().is_reset
    assert client.text == "c"


def test_the_beginning_is_never_a_reset(job: SingleJob) -> None:
    """0 is the beginning, whatever it may be by now."""
    assert not job.read("0").is_reset
    job.start("old")
    job.requeue()
    assert not job.read("0").is_reset
    job.start("new")
    batch = job.read("0")
    assert (batch.is_reset, batch.tokens) == (False, [b'"new"'])


def test_a_reader_who_comes_before_the_first_generation_is_not_reset(job: SingleJob) -> None:
    """A reader that has waited from the opening on has nothing to clear when the first generation starts."""
    client = FourLineClient(job)
    assert client.poll().elements == ()
    job.start("a")
    assert not client.poll().is_reset
    assert client.text == "a"


def test_an_attempt_that_wrote_nothing_resets_nobody(job: SingleJob) -> None:
    """An attempt lost before its first element leaves the opening as it was."""
    client = FourLineClient(job)
    client.poll()
    job.claim()
    client.poll()
    job.requeue()
    job.start("a")
    assert not client.poll().is_reset
    assert client.text == "a"


def test_reading_with_a_limit_of_nothing_moves_nowhere(job: SingleJob) -> None:
    """A limit of 0 tells where the job stands, and no more."""
    job.write(job.start("a"), COMPLETED)
    batch = job.read("0", 0)
    assert (batch.elements, batch.first, batch.is_done) == ((), 1, False)
