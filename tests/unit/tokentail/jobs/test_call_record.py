"""The call record: what an operator sees of a job's calls, as one text in the job's record."""

import pytest

from tokentail.jobs.call_record import NO_CALLS, CallRecord, parse_call_record


def test_a_call_record_is_what_it_was_made_of() -> None:
    """The text has every field, and an empty record has none."""
    record = CallRecord("openai", "https://api.example", 2, "timeout, status 504")
    assert parse_call_record(record.encoded()) == record
    assert NO_CALLS.encoded() == "{}"


@pytest.mark.parametrize("text", ["", "5", "[]", "{", '{"calls":"x"}', "9" * 18, "x" * 5000])
def test_a_foreign_text_is_no_call_record(text: str) -> None:
    """The job goes on without it: what is lost are an operator's details."""
    assert parse_call_record(text) == NO_CALLS
