"""`tokentail doctor` beside a server with keys: it finds the server by its settings, and tells the rules of a key."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.running import TOKENTAIL, Up, environment, running_up
from tests.keys_file import bearer, key_of, write_keys

KEY = "k" * 40
NAMED: dict[str, dict[str, Any]] = {  # names of keys, each with its entries
    "local-only": {"models": ["local*"]},
    "one-job": {"jobs": 1},
    "one-request": {"requests_per_minute": 1},
    "operator": {"role": "operator"},
}
ENDLESS = {"prompt": "why", "model": "demo?tokens=100000&tps=5"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A deployment with a key in its settings and named keys with limits."""
    folder = tmp_path_factory.mktemp("up")
    path = write_keys(folder / "keys.toml", **NAMED)
    settings: Any = {"TOKENTAIL_API_KEYS": KEY, "TOKENTAIL_KEYS_FILE": path}
    with running_up(folder, "--model", "demo", **settings) as started:
        yield started


def doctor(up: Up, **more: str) -> dict[str, dict[str, str]]:
    """What it finds of each part, started with the settings of the server and these."""
    settings = {"TOKENTAIL_PORT": str(urlsplit(up.url).port), "TOKENTAIL_API_KEYS": KEY, **more}
    argv = [TOKENTAIL, "doctor", "--json", "--no-providers", "--data-dir", str(up.data_dir)]
    ended = subprocess.run(
        argv, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False, cwd=up.data_dir
    )
    return {each["part"]: each for each in json.loads(ended.stdout)}


def test_the_doctor_asks_the_server_of_its_settings(up: Up) -> None:
    """By TOKENTAIL_PORT and with one of TOKENTAIL_API_KEYS; an address that is given counts more."""
    found = doctor(up)
    assert found["web"]["detail"] == f"{up.url} answers"
    assert found["demo job"]["outcome"] == "ok"
    elsewhere = doctor(up, TOKENTAIL_URL="http://127.0.0.1:9")
    assert elsewhere["web"]["detail"].startswith("http://127.0.0.1:9: ")


@pytest.mark.parametrize(
    ("name", "detail", "do"),
    [
        ("local-only", "This key may not use that model. It may use: local*.", "may use the model demo"),
        ("one-job", "1 of your jobs are open, which is the limit.", "when jobs have ended"),
        ("one-request", "This key may submit 1 requests a minute.", "keys set"),
        ("operator", "a key with the role client", "Use a client's key"),
    ],
)
def test_a_key_that_may_not_submit_the_demo_job_is_no_fault(up: Up, name: str, detail: str, do: str) -> None:
    """The rule that refused it is named, with what to do; nothing sends the operator to a log."""
    head = bearer(name)
    submitted = requests.post(f"{up.url}/v1/jobs", json=ENDLESS, headers=head, timeout=10)  # takes the one that may be
    demo = doctor(up, TOKENTAIL_API_KEY=key_of(name))["demo job"]
    assert demo["outcome"] == "warning"
    assert detail in demo["detail"]
    assert do in demo["do"]
    if submitted.status_code == 202:
        requests.post(f"{up.url}/v1/jobs/{submitted.json()['id']}/cancel", headers=head, timeout=10)
