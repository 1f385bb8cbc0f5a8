"""llmock, a mock of several providers that others wrote, and what a provider makes of it; real HTTP, no network."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.free_ports import free_ports
from tests.waiting import eventually
from tokentail.jobs.request import GenerationRequest
from worker.chunk import Chunk, ProviderFailure
from worker.upstream.provider import HttpProvider
from worker.upstream.source import open_chunks
from worker.upstream.transport import HttpTransport

REQUEST = GenerationRequest(prompt="Why is the sky blue?")


class Mock:
    """The running mock."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self.url}/_llmock/requests", timeout=1).ok
        except requests.ConnectionError:
            return False

    def will(self, **behavior: Any) -> None:
        """Have the next request meet this."""
        answer = requests.post(f"{self.url}/_llmock/scenario", json={"behaviors": [behavior]}, timeout=5)
        assert answer.ok, answer.text


@contextmanager
def running_llmock() -> Iterator[Mock]:
    """The mock on a free port; stopped at the end."""
    command = shutil.which("llmock", path=str(Path(sys.executable).parent))
    assert command, "llmock belongs to the extra dev"
    (port,) = free_ports(1)
    arguments = [command, "serve", "--port", str(port), "--stream-chunk-delay-ms", "5", "--log-level", "warning"]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        mock = Mock(f"http://127.0.0.1:{port}")
        try:
            eventually(mock.is_up, within_s=30, what="llmock answers")
            yield mock
        finally:
            server.kill()


def taken(
    provider: HttpProvider, transport: HttpTransport, request: GenerationRequest = REQUEST
) -> tuple[list[list[Chunk]], ProviderFailure | None]:
    """The lists that a provider's answer gives, and the failure that ends it, if one does."""
    lists: list[list[Chunk]] = []
    try:
        with open_chunks(provider, request, f"{provider.name}/m", transport) as answer:
            lists.extend(answer)
    except ProviderFailure as failure:
        return lists, failure
    return lists, None


def text_of(lists: list[list[Chunk]]) -> str:
    return "".join(chunk for chunks in lists for chunk in chunks if isinstance(chunk, str))


def whole_answer(mock: Mock, provider: HttpProvider, transport: HttpTransport) -> list[list[Chunk]]:
    """The lists of an answer that came piece by piece, without a failure and with the mock's whole text."""
    text = "Because of Rayleigh scattering, which is stronger for blue."
    mock.will(type="reply", text=text)
    lists, failure = taken(provider, transport)
    assert failure is None
    assert text_of(lists) == text
    assert len(lists) > 3
    return lists
