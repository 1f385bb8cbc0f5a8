"""What the examples are tried against: the whole product, with an API key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import Up, running_up
from tests.waiting import eventually
from tokentail.client import Client

EXAMPLES = Path(__file__).parents[3] / "examples"
KEY = "a-key-of-the-examples"


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that wants a key, with answers that take four seconds."""
    folder = tmp_path_factory.mktemp("up")
    with running_up(folder, "--model", "demo?tokens=80&tps=20", TOKENTAIL_API_KEYS=KEY) as up:
        yield up


@pytest.fixture
def client(up: Up) -> Iterator[Client]:
    with Client(up.url, KEY) as client:
        yield client


def newest_text(client: Client) -> str:
    """The whole text of the job that was submitted last."""
    job = next(client.jobs())
    eventually(lambda: client.job(job.id).is_closed, within_s=20, what="the job has ended")
    text = client.text(job.id)
    assert text
    return text
