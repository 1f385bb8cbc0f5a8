"""docs/python.md: what is pasted is what is run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running import Up, environment

DOCS = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)


def run(program: str, up: Up, folder: Path) -> str:
    """What it prints."""
    argv = [sys.executable, "-c", program.replace("http://127.0.0.1:8000", up.url)]
    ended = subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout.rstrip("\n")


@pytest.mark.parametrize("program", PROGRAMS[:2], ids=["text", "events"])
def test_the_first_programs_print_the_answer(shared_up: Up, tmp_path: Path, program: str) -> None:
    """As it is made, from the updates' texts or from their events."""
    printed = run(program, shared_up, tmp_path)
    job = shared_up.get("/v1/jobs")["jobs"][0]
    assert printed == "".join(shared_up.get(f"/v1/jobs/{job['id']}/tokens")["tokens"]) != ""


def test_the_program_that_keeps_its_place_goes_on(shared_up: Up, tmp_path: Path) -> None:
    """From a place in the middle, as after a crash, it prints the same."""
    whole = run(PROGRAMS[2], shared_up, tmp_path)
    job_id = json.loads((tmp_path / "answer.json").read_text())["job"]
    half = shared_up.get(f"/v1/jobs/{job_id}/tokens", limit=20)
    place = {"job": job_id, "cursor": half["cursor"], "text": "".join(half["tokens"])}
    (tmp_path / "answer.json").write_text(json.dumps(place))
    assert run(PROGRAMS[2], shared_up, tmp_path) == whole != ""


def test_the_tests_of_the_example_pass(tmp_path: Path) -> None:
    """In a folder with the example's conftest.py beside them."""
    (tmp_path / "conftest.py").write_text(PROGRAMS[3])
    (tmp_path / "test_summary.py").write_text(PROGRAMS[4])
    argv = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(
        argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout
