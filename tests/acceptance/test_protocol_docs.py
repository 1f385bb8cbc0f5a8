"""docs/protocol.md: every command is run as printed, and its output has the shape of the sample below it."""

from collections.abc import Iterator

import pytest

from tests.acceptance.running import Up, running_up
from tests.protocol_samples import DOCUMENT, KEY, Sample, run, samples

TEXT = DOCUMENT.read_text()


@pytest.fixture(scope="module")
def keyed_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server with a key, as in production."""
    with running_up(tmp_path_factory.mktemp("up"), "--model", "demo", TOKENTAIL_API_KEYS=KEY) as up:
        yield up


@pytest.mark.parametrize("sample", samples(TEXT), ids=lambda sample: sample.script.partition("\n")[0][-60:])
def test_a_command_prints_what_its_sample_shows(keyed_up: Up, sample: Sample) -> None:
    """`python -m tests.protocol_samples` writes the samples anew, after a body has changed."""
    printed = run(TEXT, sample.script, keyed_up.url)
    assert not sample.kind or sample.agrees_with(printed), printed
