"""The provider `gemini` against a mock that others wrote; real HTTP, no network."""

import pytest

from tests.integration.llmock_server import Mock, whole_answer
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
