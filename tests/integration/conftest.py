"""What the integration tests share: a running llmock, and a transport that loses its patience soon."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.integration.llmock_server import Mock
from tests.waiting import eventually
from worker.transport import HttpTransport


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
