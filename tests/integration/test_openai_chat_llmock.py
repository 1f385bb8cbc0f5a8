"""The provider `openai_chat` against a mock that others wrote; real HTTP, no network."""

import pytest

from tests.integration.llmock_server import Mock, whole_answer
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
