"""Counts: what the record knows of an answer's size while the answer comes."""

import pytest

from tests.unit.tokentail.log.test_writer import new_writer, next_of
from tokentail.jobs.job import Usage
from tokentail.log.append import Appended
from tokentail.log.counts import counts_text, parse_counts, stopped_usage
from tokentail.log.element import Media, Reasoning, Skipped, ToolCall


@pytest.mark.parametrize("usage", [None, Usage(25), Usage(25, 3, 1, 7), Usage(output_tokens=0)])
def test_counts_are_what_they_were_made_of(usage: Usage | None) -> None:
    """Another attempt that continues an answer knows what the one before knew."""
    assert parse_counts(counts_text(usage, 120)) == (usage, 120)


@pytest.mark.parametrize("text", ["", "1 2 3 4", "- - - - x", "1 2 3 -4 5", "a - - - 5", "1 2 3 4 5 6"])
def test_foreign_counts_are_no_counts(text: str) -> None:
    """Another program may have written the record."""
    assert parse_counts(text) == (None, 0)


def test_output_that_was_not_counted_is_estimated_and_a_count_is_never_overruled() -> None:
    """A quarter of the bytes that were shown; nothing where nothing was shown."""
    assert stopped_usage(None, 0) is None
    assert stopped_usage(None, 9) == Usage(output_tokens_estimated=3)
    assert stopped_usage(Usage(25), 8) == Usage(25, output_tokens_estimated=2)
    assert stopped_usage(Usage(25, 1), 4000) == Usage(25, 1)


def test_all_that_the_model_wrote_is_part_of_the_estimate() -> None:
    """Text, reasoning and calls of tools are paid for alike; media and notes have no such size."""
    writer = new_writer()
    for element in ("four", Reasoning("hmmm"), ToolCall(0, "id", "name", "{}"), Media(0, "image", "", "QUJD")):
        writer.write(element)
    writer.write(Skipped("part", "x", 900))
    append = next_of(writer)
    assert append is not None
    assert append.counts == "- - - - 10"


def test_counts_that_come_alone_are_written_at_once() -> None:
    """A model may think long after its provider has counted the prompt, and be stopped meanwhile."""
    writer = new_writer()
    writer.usage = Usage(25)
    append = next_of(writer)
    assert append is not None
    assert (append.elements, append.counts) == ((), "25 - - - 0")
    writer.settle(append, Appended(append.expected))
    assert writer.next_append(7) is None


def test_a_new_generation_begins_without_size() -> None:
    """What the lost generation showed is not part of the new one."""
    writer = new_writer()
    writer.write("lost")
    writer.start("g2", "openai", "openai/m")
    writer.write("four")
    assert writer.shown_bytes == 4
