"""The provider `openai_responses` against a mock that others wrote; real HTTP, no network."""

import json

import pytest

from tests.integration.llmock_server import Mock, taken, text_of, whole_answer
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
