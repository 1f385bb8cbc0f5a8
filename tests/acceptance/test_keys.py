"""Named keys with a real `tokentail up`: rotation without a restart, and which key gets the slots of a real worker."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.running import TOKENTAIL, Up, environment, running_up
from tests.waiting import eventually

ENDLESS = {"prompt": "why", "model": "demo?tokens=100000&tps=5"}
SLOTS = 6


def keys(file: Path, *arguments: str) -> str:
    """What `tokentail keys` prints."""
    done = subprocess.run(
        [TOKENTAIL, "keys", *arguments],
        env=environment(TOKENTAIL_KEYS_FILE=str(file)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.toml"


@pytest.fixture(scope="module")
def first(file: Path) -> str:
    """The first key, of `web`."""
    return keys(file, "add", "web")


@pytest.fixture(scope="module")
def up(file: Path, first: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A deployment with that file and a worker of few slots."""
    settings: Any = {"TOKENTAIL_KEYS_FILE": str(file), "TOKENTAIL_WORKER_CONCURRENCY": str(SLOTS)}
    assert first
    with running_up(tmp_path_factory.mktemp("up"), TOKENTAIL_MODEL="demo", **settings) as started:
        yield started


def status(up: Up, path: str, key: str, session: requests.Session | None = None) -> int:
    asking = session or requests
    return asking.get(up.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code


def submit(up: Up, key: str) -> str:
    answer = requests.post(f"{up.url}/v1/jobs", json=ENDLESS, headers={"Authorization": f"Bearer {key}"}, timeout=10)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def cancel(up: Up, key: str, job_id: str) -> None:
    head = {"Authorization": f"Bearer {key}"}
    assert requests.post(f"{up.url}/v1/jobs/{job_id}/cancel", headers=head, timeout=10).status_code == 200


def state(up: Up, key: str, job_id: str) -> str:
    head = {"Authorization": f"Bearer {key}"}
    return str(requests.get(f"{up.url}/v1/jobs/{job_id}", headers=head, timeout=10).json()["status"])


def test_a_key_is_rotated_while_the_server_runs(up: Up, file: Path, first: str) -> None:
    """The new key reads the old one's job; the old one is refused, also on a connection that polls all the time."""
    job_id = submit(up, first)
    path = f"/v1/jobs/{job_id}/tokens"
    with requests.Session() as polling:
        assert status(up, path, first, polling) == 200
        second = keys(file, "add", "web")
        eventually(lambda: status(up, path, second) == 200, what="the new key counts", within_s=5)
        assert status(up, path, first, polling) == 200, "both count"
        oldest = keys(file, "list").partition("digests=")[2].partition(",")[0]
        keys(file, "revoke", "web", "--digest", oldest)
        eventually(lambda: status(up, path, first, polling) == 401, what="the old key is refused", within_s=5)
    assert status(up, path, second) == 200
    refused = up.run("list")
    assert refused.returncode == 2
    assert "TOKENTAIL_API_KEY" in refused.stderr, "a command without a key says where it reads one"
    cancel(up, second, job_id)
    assert first not in up.log
    assert second not in up.log


def test_one_key_has_all_idle_slots_and_gives_them_back(up: Up, file: Path) -> None:
    """While nobody else waits, none of its jobs waits for a share; another's jobs get the next slots."""
    hog, other = keys(file, "add", "hog"), keys(file, "add", "other")
    eventually(lambda: status(up, "/v1/models", other) == 200, what="the keys count", within_s=5)
    hogs = [submit(up, hog) for _ in range(SLOTS + 2)]
    eventually(lambda: [state(up, hog, job_id) for job_id in hogs[:SLOTS]] == ["running"] * SLOTS, what="all slots")
    assert [state(up, hog, job_id) for job_id in hogs[SLOTS:]] == ["queued", "queued"]
    others = [submit(up, other) for _ in range(2)]
    for job_id in hogs[:2]:
        cancel(up, hog, job_id)
    eventually(lambda: [state(up, other, job_id) for job_id in others] == ["running"] * 2, what="the other's turn")
    assert [state(up, hog, job_id) for job_id in hogs[SLOTS:]] == ["queued", "queued"]
    for job_id in others:
        cancel(up, other, job_id)
    eventually(lambda: [state(up, hog, job_id) for job_id in hogs[2:]] == ["running"] * SLOTS, what="idle slots again")
    for job_id in hogs[2:]:
        cancel(up, hog, job_id)


def test_usage_and_metrics_are_of_real_jobs(up: Up, file: Path) -> None:
    """What the worker counted at a job's end is in the call for usage, by the name of the key."""
    key = keys(file, "add", "counted")
    head = {"Authorization": f"Bearer {key}"}
    eventually(lambda: status(up, "/v1/usage", key) == 200, what="the key counts", within_s=5)
    body = {"prompt": "one two three", "model": "demo?tokens=12&tps=0"}
    asked = {**head, "Prefer": "wait=10"}
    usage = requests.post(f"{up.url}/v1/jobs", json=body, headers=asked, timeout=20).json()["usage"]
    assert usage["output_tokens"] == 12

    def spent() -> bool:
        rows = requests.get(f"{up.url}/v1/usage", headers=head, timeout=10).json()["usage"]
        counted = [(row["requests"], row["completed"], row["input_tokens"], row["output_tokens"]) for row in rows]
        return counted == [(1, 1, usage["input_tokens"], 12)]

    eventually(spent, what="the job is counted", within_s=10)
