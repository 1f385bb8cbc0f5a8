"""The provider `openai_responses` against a mock that others wrote, with its faults; real HTTP, no network."""

import json

import pytest

from tests.integration.llmock_server import (
    BREAKING,
    Mock,
    check_broken_stream,
    check_stall,
    taken,
    text_of,
    whole_answer,
)
from tokentail.jobs.job import FinishReason
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.chunk import Finish, Terminal, UsageReport
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.transport import HttpTransport


@pytest.fixture
def provider(mock: Mock) -> OpenAiResponses:
    return OpenAiResponses("openai/*", f"{mock.url}/v1", "sk-anything")


def test_a_whole_answer_comes_piece_by_piece(mock: Mock, provider: OpenAiResponses, transport: HttpTransport) -> None:
    """Text over many reads, then the reason, the usage and the end."""
    lists = whole_answer(mock, provider, transport)
    finish, usage, terminal = lists[-1]
    assert finish == Finish(FinishReason.STOP, "completed")
    assert isinstance(usage, UsageReport)
    assert (usage.usage.output_tokens or 0) > 0
    assert terminal == Terminal()


def test_a_whole_conversation_with_tools_is_taken(
    mock: Mock, provider: OpenAiResponses, transport: HttpTransport
) -> None:
    """Every item and option that the request can have; the mock refuses none of them."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "c"},
        {"role": "user", "content": "So?"},
    ]
    asked = {
        "messages": messages,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
        "max_tokens": 500,
        "temperature": 0.5,
        "response_format": {"type": "text"},
        "reasoning_effort": "low",
    }
    mock.will(type="reply", text="Take an umbrella.")
    lists, failure = taken(provider, transport, parse_request(json.dumps(asked).encode()))
    assert failure is None
    assert text_of(lists) == "Take an umbrella."


def test_a_limit_is_a_reason_of_its_own(mock: Mock, provider: OpenAiResponses, transport: HttpTransport) -> None:
    """The mock says `completed` and means `incomplete`."""
    mock.will(type="reply", text="Because of Rayleigh scattering.", finish_reason="length")
    lists, failure = taken(provider, transport, GenerationRequest(prompt="Why?", max_tokens=2))
    assert failure is None
    assert Finish(FinishReason.LENGTH, "max_output_tokens") in lists[-1]


@BREAKING
def test_a_broken_stream_is_a_failure_after_what_came(
    mock: Mock, provider: OpenAiResponses, transport: HttpTransport, fault: str, kind: str
) -> None:
    """A stream that ends early is never taken for a whole one."""
    check_broken_stream(mock, provider, transport, fault, kind, after_chunks=8)


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limited"), (500, "unavailable"), (503, "overloaded")])
def test_a_refusal_says_how_long_to_wait(
    mock: Mock, provider: OpenAiResponses, transport: HttpTransport, status: int, kind: str
) -> None:
    """A refusal with Retry-After gives the wait in seconds, and the next call succeeds."""
    mock.will(type="fail", status=status, retry_after=2)
    lists, failure = taken(provider, transport)
    assert failure is not None
    assert (failure.failure.kind, failure.retry_after_s) == (kind, 2)
    assert not lists
    assert taken(provider, transport)[1] is None


def test_a_stall_is_waited_for_until_somebody_s_patience_ends(
    mock: Mock, provider: OpenAiResponses, transport: HttpTransport
) -> None:
    """Here the transport's; in the worker the deadlines', which are interrupts like any other."""
    check_stall(mock, provider, transport, after_chunks=8)
