"""The provider `openai_chat` against a mock that others wrote, with its faults; real HTTP, no network."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.waiting import eventually
from tokentail.job import FinishReason
from tokentail.request import GenerationRequest
from worker.chunk import Chunk, Finish, ProviderFailure, Terminal, UsageReport
from worker.providers.openai_chat import OpenAiChat
from worker.providers.source import open_chunks
from worker.transport import HttpTransport

REQUEST = GenerationRequest(prompt="Why is the sky blue?")


class Mock:
    """The running mock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.provider = OpenAiChat("openai/*", f"{url}/v1", "sk-anything")

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self.url}/_llmock/requests", timeout=1).ok
        except requests.ConnectionError:
            return False

    def will(self, **behavior: Any) -> None:
        """Have the next request meet this."""
        answer = requests.post(f"{self.url}/_llmock/scenario", json={"behaviors": [behavior]}, timeout=5)
        assert answer.ok, answer.text


@pytest.fixture(scope="session")
def running_mock() -> Iterator[Mock]:
    """One mock for all tests here."""
    command = shutil.which("llmock", path=str(Path(sys.executable).parent))
    assert command, "llmock belongs to the extra dev"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [command, "serve", "--port", str(port), "--stream-chunk-delay-ms", "5", "--log-level", "warning"]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        mock = Mock(f"http://127.0.0.1:{port}")
        try:
            eventually(mock.is_up, within_s=30, what="llmock answers")
            yield mock
        finally:
            server.kill()


@pytest.fixture
def mock(running_mock: Mock) -> Mock:
    """The mock, with nothing scripted."""
    requests.post(f"{running_mock.url}/_llmock/reset", timeout=5)
    return running_mock


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    """A transport that loses its patience soon."""
    opened = HttpTransport(connections=4, connect_timeout_s=2, read_timeout_s=1)
    yield opened
    opened.close()


def taken(mock: Mock, transport: HttpTransport) -> tuple[list[list[Chunk]], ProviderFailure | None]:
    """The lists that the mock's answer gives, and the failure that ends it, if one does."""
    lists: list[list[Chunk]] = []
    try:
        with open_chunks(mock.provider, REQUEST, "openai/gpt-4o", transport) as answer:
            lists.extend(answer)
    except ProviderFailure as failure:
        return lists, failure
    return lists, None


def text_of(lists: list[list[Chunk]]) -> str:
    return "".join(chunk for chunks in lists for chunk in chunks if isinstance(chunk, str))


def test_a_whole_answer_comes_piece_by_piece(mock: Mock, transport: HttpTransport) -> None:
    """Text over many reads, then the reason, the usage and the end marker."""
    mock.will(type="reply", text="Because of Rayleigh scattering, which is stronger for blue.")
    lists, failure = taken(mock, transport)
    assert failure is None
    assert text_of(lists) == "Because of Rayleigh scattering, which is stronger for blue."
    assert len(lists) > 3
    kinds = [chunk for chunks in lists for chunk in chunks if not isinstance(chunk, str)]
    finish, usage, terminal = kinds
    assert finish == Finish(FinishReason.STOP, "stop")
    assert isinstance(usage, UsageReport)
    assert (usage.usage.output_tokens or 0) > 0
    assert terminal == Terminal()


@pytest.mark.parametrize(
    ("fault", "kind"), [("disconnect", "truncated"), ("truncate", "truncated"), ("malformed", "malformed")]
)
def test_a_broken_stream_is_a_failure_after_what_came(
    mock: Mock, transport: HttpTransport, fault: str, kind: str
) -> None:
    """A stream that ends early is never taken for a whole one, and may be tried again."""
    mock.will(type="stream_fault", kind=fault, after_chunks=3)
    lists, failure = taken(mock, transport)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.is_retryable) == (kind, True)
    assert text_of(lists)


def test_a_rate_limit_says_how_long_to_wait(mock: Mock, transport: HttpTransport) -> None:
    """429 with Retry-After, and the next try succeeds."""
    mock.will(type="fail", status=429, retry_after=2)
    lists, failure = taken(mock, transport)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.provider_code) == ("rate_limited", "rate_limit_exceeded")
    assert failure.retry_after_s == 2
    assert not lists
    assert taken(mock, transport)[1] is None


def test_a_stall_is_waited_for_until_somebody_s_patience_ends(mock: Mock, transport: HttpTransport) -> None:
    """Here the transport's; in the worker the deadlines', which are interrupts like any other."""
    mock.will(type="stream_fault", kind="stall", after_chunks=2, stall_seconds=30)
    lists, failure = taken(mock, transport)
    assert failure is not None
    assert failure.failure.kind == "timeout"
    assert text_of(lists)
