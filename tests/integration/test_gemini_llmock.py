"""The provider `gemini` against a mock that others wrote, with its faults; real HTTP, no network."""

import pytest

from tests.integration.llmock_server import (
    BREAKING,
    Mock,
    check_broken_stream,
    check_stall,
    taken,
    whole_answer,
)
from tokentail.jobs.job import FinishReason
from worker.chunk import Finish, UsageReport
from worker.dialects.google.gemini import Gemini
from worker.upstream.transport import HttpTransport


@pytest.fixture
def provider(mock: Mock) -> Gemini:
    """The mock's own copy of Google."""
    return Gemini("gemini/*", f"{mock.url}/gemini", "anything")


def test_a_whole_answer_comes_piece_by_piece(mock: Mock, provider: Gemini, transport: HttpTransport) -> None:
    """Text over many reads, then the reason and the usage; the end of the body is the end."""
    lists = whole_answer(mock, provider, transport)
    finish, usage = [chunk for chunks in lists for chunk in chunks if not isinstance(chunk, str)]
    assert finish == Finish(FinishReason.STOP, "STOP")
    assert isinstance(usage, UsageReport)
    assert (usage.usage.output_tokens or 0) > 0


@BREAKING
def test_a_broken_stream_is_a_failure_after_what_came(
    mock: Mock, provider: Gemini, transport: HttpTransport, fault: str, kind: str
) -> None:
    """A stream that ends early is never taken for a whole one."""
    check_broken_stream(mock, provider, transport, fault, kind)


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (429, "rate_limited", "RESOURCE_EXHAUSTED"),
        (500, "unavailable", "INTERNAL"),
        (503, "overloaded", "UNAVAILABLE"),
    ],
)
def test_a_failing_server_is_told_from_a_busy_one(
    mock: Mock, provider: Gemini, transport: HttpTransport, status: int, kind: str, word: str
) -> None:
    """With its own word, and how long to wait where it says so; and the next try succeeds."""
    mock.will(type="fail", status=status, retry_after=2)
    lists, failure = taken(provider, transport)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.provider_code) == (kind, word)
    assert failure.failure.is_retryable
    assert failure.retry_after_s == 2
    assert not lists
    assert taken(provider, transport)[1] is None


def test_a_stall_is_waited_for_until_somebody_s_patience_ends(
    mock: Mock, provider: Gemini, transport: HttpTransport
) -> None:
    """Here the transport's; in the worker the deadlines', which are interrupts like any other."""
    check_stall(mock, provider, transport)
