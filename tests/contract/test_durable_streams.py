"""Durable Streams: reads with `live=sse`, over both bindings."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.durable_reads import FAILED, offset_of, read, sse
from tests.http_harness import HttpHarness, assert_problem
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.log.element import Event, Reasoning
from tokentail.log.writer import LogWriter

BOTH = ["events", "text"]

Seen = tuple[list[tuple[str, Any]], bool]


class Reader:
    """A stream that is open while the job's worker speaks."""

    def __init__(self, harness: HttpHarness, threads: ThreadPoolExecutor) -> None:
        self.harness = harness
        self._threads = threads
        self.job_id = harness.submitted()
        self.writer: LogWriter = harness.worker.take(self.job_id)

    def say(self, *elements: str | Event) -> None:
        self.harness.worker.say(self.writer, *elements)

    def open(self, kind: str, offset: str = "-1") -> "Future[Seen]":
        """Open the stream, and return when it waits. The result is what it brought."""
        seen = self._threads.submit(sse, self.harness, self.job_id, kind, offset)
        eventually(lambda: self.harness.waits() == 1, what="the stream waits")
        return seen


@pytest.fixture
def reader(harness: HttpHarness) -> Iterator[Reader]:
    with ThreadPoolExecutor(1) as threads:
        yield Reader(harness, threads)
        harness.end_waits()  # or a test that failed would wait for its stream


def data_of(events: list[tuple[str, Any]]) -> list[Any]:
    return [data for name, data in events if name == "data"]


@pytest.mark.parametrize("kind", BOTH)
def test_a_stream_has_what_is_there_and_what_comes(reader: Reader, kind: str) -> None:
    """A control event follows each data event. The end is a control event of its own, without a cursor."""
    reader.say(" a\r\nb", "c\n")
    stream = reader.open(kind)
    reader.say(Reasoning("hm"), "\u2028d")
    reader.say(COMPLETED)
    events, is_cut = stream.result(20)
    assert not is_cut
    if kind == "text":
        assert "".join(data_of(events)) == " a\nbc\n\u2028d", "an event has LF for any line end"
    else:
        elements = [element for batch in data_of(events) for element in batch]
        assert elements == read(reader.harness, reader.job_id, kind).get_json()
    *before, (last, end) = events
    assert [name for name, _ in before] == ["data", "control"] * (len(before) // 2)
    tail = offset_of(read(reader.harness, reader.job_id, kind))
    assert (last, end) == ("control", {"streamNextOffset": tail, "upToDate": True, "streamClosed": True})
    controls = [facts for name, facts in before if name == "control"]
    assert all(int(facts["streamCursor"]) >= 0 and "streamClosed" not in facts for facts in controls)
    assert controls[-1]["streamNextOffset"] == tail
    assert controls[0]["upToDate"] is True


@pytest.mark.parametrize("kind", BOTH)
def test_a_stream_begins_at_each_offset_of_another(reader: Reader, kind: str) -> None:
    """With what follows it; at the end of a closed one with nothing but the end, and at an open tail with the tail."""
    reader.say("a")
    stream = reader.open(kind, "now")
    reader.say("b", COMPLETED)
    events, _ = stream.result(20)
    assert events[0][0] == "control", "a reader at the tail receives its position at once"
    whole = data_of(sse(reader.harness, reader.job_id, kind)[0])
    for n, (name, facts) in enumerate(events):
        if name == "control":
            rest, _ = sse(reader.harness, reader.job_id, kind, facts["streamNextOffset"])
            assert data_of(rest) == data_of(events[n:])
    assert rest == [events[-1]]
    assert whole[0][-len(data_of(events)[0]) :] == data_of(events)[0]


@pytest.mark.parametrize("kind", BOTH)
def test_a_lost_answer_cuts_the_stream_off(reader: Reader, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """An orderly end would pass for the end of the answer. The next read says what happened; the log has no fault."""
    reader.say("old")
    stream = reader.open(kind)
    reader.writer.start("second", "demo", "demo")
    reader.say("new", COMPLETED)
    events, is_cut = stream.result(20)
    assert is_cut
    assert "new" not in str(events)
    _, facts = events[-1]
    assert_problem(read(reader.harness, reader.job_id, kind, f"offset={facts['streamNextOffset']}"), 410)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_stream_that_has_shown_nothing_goes_on_with_a_new_answer(reader: Reader) -> None:
    """There is nothing to take back."""
    stream = reader.open("text")
    reader.writer.start("second", "demo", "demo")
    reader.say("new", COMPLETED)
    events, is_cut = stream.result(20)
    assert (data_of(events), is_cut) == (["new"], False)


def test_a_text_that_is_not_whole_is_cut_off(reader: Reader) -> None:
    """After all of it."""
    reader.say("ha")
    stream = reader.open("text")
    reader.say("lf", FAILED)
    events, is_cut = stream.result(20)
    assert ("".join(data_of(events)), is_cut) == ("half", True)
    assert "streamClosed" not in str(events)
    _, facts = events[-1]
    assert "upToDate" not in facts
    assert_problem(read(reader.harness, reader.job_id, "text", f"offset={facts['streamNextOffset']}&live=sse"), 409)


@pytest.mark.parametrize("kind", BOTH)
def test_a_deleted_job_cuts_the_stream_off(reader: Reader, kind: str) -> None:
    """The next read says that the job is gone."""
    reader.say("a")
    stream = reader.open(kind)
    reader.harness.delete(reader.job_id)
    _, is_cut = stream.result(20)
    assert is_cut
    assert_problem(read(reader.harness, reader.job_id, kind, "offset=now&live=sse"), 410)


def test_an_outlasted_stop_ends_the_stream_in_order(reader: Reader) -> None:
    """The JavaScript client of that protocol then comes back by itself, to another process."""
    reader.say("a")
    stream = reader.open("text")
    reader.harness.end_waits()
    events, is_cut = stream.result(20)
    assert (data_of(events), is_cut) == (["a"], False)
    assert "streamClosed" not in str(events)
