"""What the integration tests share: a running llmock, and a transport that loses its patience soon."""

from collections.abc import Iterator

import pytest
import requests

from tests.integration.llmock_server import Mock, running_llmock
from worker.upstream.transport import HttpTransport


@pytest.fixture(scope="session")
def running_mock() -> Iterator[Mock]:
    """One mock for all tests here."""
    with running_llmock() as mock:
        yield mock


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


@pytest.fixture
def patient_transport() -> Iterator[HttpTransport]:
    """A transport that would wait much longer than its test."""
    opened = HttpTransport(connections=4, connect_timeout_s=2, read_timeout_s=60)
    yield opened
    opened.close()
