"""docs/sharing.md: its commands, as they are printed, make links for an hour and revoke them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.acceptance.running import Up, environment, running_up
from tests.waiting import eventually
from tokentail.client import Client

PAGE = (Path(__file__).parents[2] / "docs" / "sharing.md").read_text()
COMMANDS, WITH_CURL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
SETTING, ASKING, SHARING, REVOKING = COMMANDS.splitlines()
KEY = "k" * 40


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A deployment with a key."""
    settings: Any = {"TOKENTAIL_API_KEYS": KEY, "TOKENTAIL_API_KEY": KEY}
    with running_up(tmp_path_factory.mktemp("up"), "--model", "demo", **settings) as started:
        yield started


def run(up: Up, script: str, **more: str) -> subprocess.CompletedProcess[str]:
    bin_path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    settings = environment(PATH=bin_path, TOKENTAIL_URL=up.url, TOKENTAIL_API_KEY=KEY, **more)
    argv = ["bash", "-euo", "pipefail", "-c", script]
    ended = subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended


def status_of(up: Up, link: str) -> int:
    """What the reader of a link gets, without a key."""
    (job_id,), (token,) = (parse_qs(urlsplit(link).query)[name] for name in ("job", "token"))
    return requests.get(f"{up.url}/v1/jobs/{job_id}/text", params={"token": token}, timeout=10).status_code


def test_the_commands_make_a_link_for_an_hour_and_revoke_it(up: Up) -> None:
    """The time is printed for a person, without parts of a second; the link is alone on stdout."""
    assert SETTING.startswith("export TOKENTAIL_URL=")
    shared = run(up, f"{ASKING}\n{SHARING}")
    link = shared.stdout.strip()
    assert status_of(up, link) == 200
    ends = re.fullmatch(r"tokentail: it works until (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\n", shared.stderr)
    assert ends is not None, shared.stderr
    left = datetime.fromisoformat(ends[1]).replace(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    run(up, REVOKING, JOB=parse_qs(urlsplit(link).query)["job"][0])
    eventually(lambda: status_of(up, link) == 401, within_s=5, what="the link is refused")


def test_curl_makes_a_link_and_revokes_it(up: Up) -> None:
    """The token reads with the Python client, until the links are revoked."""
    job_id = run(up, 'tokentail ask --no-wait --model "demo?tokens=2&tps=0" hello').stdout.strip()
    making, revoking = WITH_CURL.splitlines()
    body = json.loads(run(up, making, JOB=job_id).stdout)
    with Client(up.url, token=body["token"]) as reader:
        assert reader.job(job_id).id == job_id
    run(up, revoking, JOB=job_id)
    eventually(lambda: status_of(up, body["link"]) == 401, within_s=5, what="the link is refused")


@pytest.mark.parametrize("hours", ["0.01", "169", "nan"])
def test_a_time_that_no_link_may_have_is_refused_in_words(up: Up, hours: str) -> None:
    """The limits are named as a person says them."""
    refused = run(up, f"tokentail share --hours {hours} x 2>&1 || true").stdout
    assert "0.02 hours (a minute) to 168 hours (a week)" in refused
