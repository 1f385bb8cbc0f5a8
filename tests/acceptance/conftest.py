"""One running `tokentail up` is shared by the tests that leave it as it was."""

import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.running import Up, running_up


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests find processes in /proc."""
    if sys.platform != "linux":
        for item in items:
            if "acceptance" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="needs /proc, which only Linux has"))


@pytest.fixture(scope="session")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `tokentail up` with the demo as its default model."""
    with running_up(tmp_path_factory.mktemp("up"), "--model", "demo?tokens=40&tps=40") as up:
        yield up
