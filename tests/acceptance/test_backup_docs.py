"""docs/backup.md: what is pasted is what is run, and a job can be read after the restore."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running import Up, environment, running_up, wait_for_end
from tests.programs import REDIS_CLI

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
STOPPED, RUNNING = (part.partition("\n## ")[0] for part in PAGE.split("\n## ")[1:3])


def commands(part: str) -> tuple[str, str]:
    """The block that backs up, and the one that restores; the start that ends it is the test's."""
    backup, restore = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    restore, start, rest = restore.partition("tokentail up --data-dir restored\n")
    assert start
    assert not rest
    return backup, restore


def run(script: str, folder: Path) -> None:
    """Run it in the folder that has `data`; it must succeed."""
    bin_path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    argv = ["bash", "-euo", "pipefail", "-c", script]
    ended = subprocess.run(
        argv, cwd=folder, env=environment(PATH=bin_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr


def answered(up: Up) -> tuple[str, object]:
    """A job that has ended, and the body of a poll of it."""
    job_id = up.submit(prompt="Kept", model="demo?tokens=30&tps=200")
    assert wait_for_end(up, job_id) == "completed"
    return job_id, up.get(f"/v1/jobs/{job_id}/tokens")


def assert_is_restored(folder: Path, job_id: str, body: object) -> None:
    """The job reads as before, and the restored server takes new ones."""
    (folder / "again").mkdir()
    (folder / "restored").rename(folder / "again" / "data")
    with running_up(folder / "again", "--model", "demo") as up:
        assert up.get(f"/v1/jobs/{job_id}/tokens") == body
        answered(up)


@pytest.mark.timeout(120)
def test_a_copy_of_the_stopped_valkey_is_restored(tmp_path: Path) -> None:
    """By tar, into another folder."""
    backup, restore = commands(STOPPED)
    with running_up(tmp_path, "--model", "demo") as up:
        job_id, body = answered(up)
    run(backup + restore, tmp_path)
    assert_is_restored(tmp_path, job_id, body)


@pytest.mark.timeout(120)
def test_a_snapshot_of_the_running_valkey_is_restored(tmp_path: Path) -> None:
    """By redis-cli; what was submitted after the snapshot is not in it."""
    backup, restore = commands(RUNNING)
    cli = REDIS_CLI.require()
    with running_up(tmp_path, "--model", "demo") as up:
        job_id, body = answered(up)
        # A test's folder has too long a path for a socket, and redis-cli does not follow the link.
        socket = str((tmp_path / "data/valkey/valkey.sock").resolve())
        run(backup.replace("redis-cli", cli).replace("data/valkey/valkey.sock", socket), tmp_path)
        answered(up)
    run(restore, tmp_path)
    assert_is_restored(tmp_path, job_id, body)
