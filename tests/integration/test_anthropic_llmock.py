"""The provider `anthropic` against a mock that others wrote; real HTTP, no network."""

import pytest

from tests.integration.llmock_server import Mock, taken, whole_answer
from tokentail.jobs.job import FinishReason
from tokentail.jobs.request import GenerationRequest
from tokentail.log.element import ToolCall
from worker.chunk import Finish, Terminal, UsageReport
from worker.dialects.anthropic.messages import Anthropic
from worker.upstream.transport import HttpTransport


@pytest.fixture
def provider(mock: Mock) -> Anthropic:
    """The mock's own copy of Anthropic."""
    return Anthropic("anthropic/*", f"{mock.url}/anthropic", "sk-anything")


def test_a_whole_answer_comes_piece_by_piece(mock: Mock, provider: Anthropic, transport: HttpTransport) -> None:
    """Text over many reads, then the reason, the usage and the end marker."""
    lists = whole_answer(mock, provider, transport)
    kinds = [chunk for chunks in lists for chunk in chunks if not isinstance(chunk, str)]
    first, *_, finish, usage, terminal = kinds
    assert isinstance(first, UsageReport), "the input is counted before the first word"
    assert (first.usage.input_tokens or 0) > 0
    assert finish == Finish(FinishReason.STOP, "end_turn")
    assert isinstance(usage, UsageReport)
    assert (usage.usage.input_tokens or 0) > 0
    assert (usage.usage.output_tokens or 0) > 0
    assert terminal == Terminal()


def test_tool_calls_come_with_whole_arguments(mock: Mock, provider: Anthropic, transport: HttpTransport) -> None:
    """As the mock cuts them into pieces."""
    calls = [{"name": "weather", "arguments": {"city": "Wien"}}, {"name": "now", "arguments": {}}]
    mock.will(type="reply", tool_calls=calls)
    lists, failure = taken(provider, transport)
    assert failure is None
    pieces = [chunk for chunks in lists for chunk in chunks if isinstance(chunk, ToolCall)]
    assert [piece.name for piece in pieces if piece.name] == ["weather", "now"]
    arguments = ["".join(piece.arguments for piece in pieces if piece.index == i) for i in range(2)]
    assert arguments == ['{"city": "Wien"}', "{}"]
    assert Finish(FinishReason.TOOL_CALLS, "tool_use") in [chunk for chunks in lists for chunk in chunks]


def test_a_conversation_is_taken(mock: Mock, provider: Anthropic, transport: HttpTransport) -> None:
    """System texts, tools and their results, in the form that the mock checks."""
    request = GenerationRequest(prompt="Hi", max_tokens=50, temperature=0.5, stop=["END"])
    assert taken(provider, transport, request)[1] is None
