"""The commands for those who run a deployment: lists, erasing, sharing, models, and the doctor."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import TOKENTAIL, Up, environment, running_up
from tests.free_ports import free_ports


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A deployment whose provider cannot be reached."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}/v1"
    settings: dict[str, Any] = {
        "OPENAI_API_KEY": "sk-x",
        "OPENAI_BASE_URL": url,
        "TOKENTAIL_RETRIES": "0",
        "TOKENTAIL_MODEL": "demo",
    }
    with running_up(tmp_path_factory.mktemp("up"), **settings) as started:
        yield started


def failed_job(up: Up) -> str:
    asked = up.run("ask", "--no-wait", "--model", "openai/some-model", "--", "hello")
    job_id = asked.stdout.strip()
    up.run("tail", job_id)
    return job_id


def test_a_failed_job_is_found_with_its_reason(up: Up) -> None:
    """The list of all jobs names the provider's address and what happened there."""
    done = up.run("ask", "--no-wait", "--model", "demo?tokens=2&tps=0", "hello").stdout.strip()
    job_id = failed_job(up)
    listed = up.run("list", "--all", "--status", "failed", "--since", "1h")
    assert listed.returncode == 0, listed.stderr
    assert job_id in listed.stdout
    assert done not in listed.stdout
    assert "unavailable: The provider at http://127.0.0.1:" in listed.stdout
    assert "the connection was refused" in listed.stdout
    record = json.loads(up.run("list", "--all", "--json", "--limit", "1", "--status", "failed").stdout)
    assert (record["provider"], record["provider_calls"], record["id"]) == ("openai", 1, job_id)


def test_ones_own_jobs_are_listed_newest_first(up: Up) -> None:
    """Each is a line; with a filter there are fewer."""
    first, second = (
        up.run("ask", "--no-wait", "--model", "demo?tokens=2&tps=0", prompt).stdout.strip() for prompt in ("a", "b")
    )
    ids = [json.loads(line)["id"] for line in up.run("list", "--json", "--limit", "2").stdout.splitlines()]
    assert ids == [second, first]
    assert up.run("list", "--user", "nobody").stderr == "tokentail: no job matches\n"
    assert up.run("list", "--since", "soon").returncode == 2
    assert up.run("list", "--owner", "web").returncode == 2


def test_jobs_are_found_by_their_metadata(up: Up) -> None:
    """All that is given must hold; what is not NAME=VALUE, or is asked for with --all, is wrong usage."""
    first, _ = (
        up.submit(prompt="a", model="demo?tokens=2&tps=0", metadata={"chat": chat, "kind": "x=y"}) for chat in "ab"
    )
    found = up.run("list", "--json", "--metadata", "chat=a", "--metadata", "kind=x=y").stdout.splitlines()
    assert [json.loads(line)["id"] for line in found] == [first]
    assert up.run("list", "--metadata", "chat").returncode == 2
    assert up.run("list", "--all", "--metadata", "chat=a").returncode == 2


def test_a_job_is_shared_and_erased(up: Up) -> None:
    """The link leads to the job; afterwards its content is gone, which has an exit code of its own."""
    job_id = up.run("ask", "--no-wait", "--model", "demo?tokens=2&tps=0", "hello").stdout.strip()
    link = json.loads(up.run("share", "--json", job_id).stdout)["link"]
    assert link.startswith(up.url)
    assert job_id in link
    assert up.run("share", "--revoke", job_id).returncode == 0
    assert up.run("delete", job_id).stdout == f"erased {job_id}\n"
    assert up.run("status", job_id).returncode == 4


def test_the_models_are_printed_with_the_default(up: Up) -> None:
    """A name a line, or one object for programs."""
    assert up.run("models").stdout.splitlines() == ["demo  (default)", "openai/*"]
    assert json.loads(up.run("models", "--json").stdout) == {"models": ["demo", "openai/*"], "default": "demo"}


def test_the_doctor_looks_at_every_part(up: Up) -> None:
    """With a provider that cannot be reached it ends with 1 and says where it looked; without providers all is well."""
    assert up.run("doctor", "--no-providers", "--data-dir", str(up.data_dir)).returncode == 0
    settings = environment(TOKENTAIL_URL=up.url, OPENAI_API_KEY="x", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    argv = [TOKENTAIL, "doctor", "--json", "--data-dir", str(up.data_dir)]
    ended = subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    found = {each["part"]: each for each in json.loads(ended.stdout)}
    assert set(found) - {"state"} == {"settings", "redis", "web", "workers", "demo job", "provider"}
    outcomes = {part: each["outcome"] for part, each in found.items() if part != "state"}
    assert outcomes == dict.fromkeys(outcomes, "ok") | {"provider": "failed"}
    assert "http://127.0.0.1:9 could not be reached" in found["provider"]["detail"]
    assert all(each["do"] for each in found.values() if each["outcome"] == "failed")


def test_the_doctor_says_what_is_not_there(tmp_path: Path) -> None:
    """Redis and the web server are missing: exit code 1, and what to do about each. Faults of settings: exit code 2."""
    argv = [TOKENTAIL, "doctor", "--no-providers", "--data-dir", str(tmp_path)]
    nowhere = environment(TOKENTAIL_URL=f"http://127.0.0.1:{free_ports(1)[0]}")
    ended = subprocess.run(argv, env=nowhere, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout.count("FAILED") == 2
    assert "tokentail up" in ended.stdout
    wrong = nowhere | {"TOKENTAIL_LEASE_S": "soon", "TOKENTAIL_PORT": "x"}
    ended = subprocess.run(argv, env=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stdout.count("FAILED") == 2
