"""The pytest fixture."""

from collections.abc import Iterator

import pytest

from tokentail.testing.server import TokentailServer


@pytest.fixture
def tokentail_server() -> Iterator[TokentailServer]:
    """A server of this test alone. Import the fixture into conftest.py, or into the test's module."""
    with TokentailServer() as server:
        yield server
