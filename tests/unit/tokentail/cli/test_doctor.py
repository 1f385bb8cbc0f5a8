"""What the doctor tells an operator to do about a Redis, or a server, that cannot do its work."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tokentail.cli.doctor import _remedy, doctor
from tokentail.client.responses import ApiError


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("redis+sentinel://127.0.0.1:1/name", "Start the Sentinels, or correct their hosts and ports"),
        ("redis://127.0.0.1:1", "Start Redis, or correct REDIS_URL"),
        ("", "Start `tokentail up`"),
    ],
)
def test_the_remedy_for_a_silent_redis_fits_how_it_is_reached(url: str, remedy: str, tmp_path: Path) -> None:
    """Sentinels are started, a server as well, and `tokentail up` only where it has the Redis."""
    environment = {"TOKENTAIL_DATA_DIR": str(tmp_path), "REDIS_URL": url}
    options = ["--json", "--no-providers", "--url", "http://127.0.0.1:9"]
    printed = CliRunner().invoke(doctor, options, env=environment, standalone_mode=False).stdout
    (found,) = (each for each in json.loads(printed) if each["part"] == "redis")
    assert found["outcome"] == "failed"
    assert remedy in found["do"]


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("not-replicated", "TOKENTAIL_SUBMIT_WAIT_MS=0"),
        ("nothing-served", "Start a worker"),
        ("store-unavailable", "Mend Redis first"),
    ],
)
def test_the_remedy_for_a_503_fits_its_type(kind: str, remedy: str) -> None:
    """A Redis that works is not to be mended."""
    refusal = ApiError(503, {"type": f"urn:tokentail:problem:{kind}", "detail": "…"})
    assert remedy in _remedy(refusal)
