"""The provider `openai_chat` against a mock that others wrote, with its faults; real HTTP, no network."""

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
from worker.chunk import Finish, SignOfLife, Terminal, UsageReport
from worker.dialects.openai.chat import OpenAiChat
from worker.upstream.transport import HttpTransport


@pytest.fixture
def provider(mock: Mock) -> OpenAiChat:
    """The mock's own copy of OpenAI."""
    return OpenAiChat("openai/*", f"{mock.url}/v1", "sk-anything")


def test_a_whole_answer_comes_piece_by_piece(mock: Mock, provider: OpenAiChat, transport: HttpTransport) -> None:
    """Text over many reads, then the reason, the usage and the end marker."""
    lists = whole_answer(mock, provider, transport)
    kinds = [chunk for chunks in lists for chunk in chunks if not isinstance(chunk, str | SignOfLife)]
    finish, usage, terminal = kinds
    assert finish == Finish(FinishReason.STOP, "stop")
    assert isinstance(usage, UsageReport)
    assert (usage.usage.output_tokens or 0) > 0
    assert terminal == Terminal()


@BREAKING
def test_a_broken_stream_is_a_failure_after_what_came(
    mock: Mock, provider: OpenAiChat, transport: HttpTransport, fault: str, kind: str
) -> None:
    """A stream that ends early is never taken for a whole one."""
    check_broken_stream(mock, provider, transport, fault, kind)


def test_a_rate_limit_says_how_long_to_wait(mock: Mock, provider: OpenAiChat, transport: HttpTransport) -> None:
    """429 with Retry-After, and the next try succeeds."""
    mock.will(type="fail", status=429, retry_after=2)
    lists, failure = taken(provider, transport)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.provider_code) == ("rate_limited", "rate_limit_exceeded")
    assert failure.retry_after_s == 2
    assert not lists
    assert taken(provider, transport)[1] is None


def test_a_stall_is_waited_for_until_somebody_s_patience_ends(
    mock: Mock, provider: OpenAiChat, transport: HttpTransport
) -> None:
    """Here the transport's; in the worker the deadlines', which are interrupts like any other."""
    check_stall(mock, provider, transport)
