"""The README's code works as it is printed there: what is pasted is what is run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running import Up, environment

README = (Path(__file__).parents[2] / "README.md").read_text()


def block(language: str, containing: str, up: Up) -> str:
    """The README's one block of this language that holds these words, its address that of `up`."""
    blocks = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text]
    assert len(blocks) == 1, f"one {language} block with {containing!r}"
    return str(blocks[0]).replace("http://127.0.0.1:8000", up.url)


def run(*argv: str) -> str:
    """What a program prints; it must succeed."""
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def newest_text(up: Up) -> str:
    job = up.get("/v1/jobs")["jobs"][0]
    return "".join(up.get(f"/v1/jobs/{job['id']}/tokens")["tokens"])


@pytest.mark.checkout
def test_the_clone_line_works_as_pasted(tmp_path: Path) -> None:
    """With the address set, the folder has what `make run` needs; without it, the shell says what is missing."""
    (line,) = re.findall(r"^git clone .*$", README, re.MULTILINE)
    script = ["bash", "-c", f"{line} && ls Makefile"]
    repository = str(Path(__file__).parents[2])
    cloned = subprocess.run(
        script, cwd=tmp_path, env=environment(REPOSITORY=repository), capture_output=True, text=True, check=False
    )
    assert cloned.stdout == "Makefile\n", cloned.stderr
    refused = subprocess.run(script, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "first set REPOSITORY to the address of this repository" in refused.stderr


def test_the_python_client_works_as_printed(shared_up: Up) -> None:
    """The Python example of the README prints the whole text."""
    printed = run(sys.executable, "-c", block("python", "import requests", shared_up))
    assert printed.rstrip("\n") == newest_text(shared_up) != ""


def test_openais_sdk_works_as_printed(shared_up: Up) -> None:
    """The example with OpenAI's SDK prints the whole text, of whatever model is served."""
    program = block("python", "import OpenAI", shared_up).replace('"local"', '"demo?tokens=40&tps=40"')
    printed = run(sys.executable, "-c", program)
    assert printed.rstrip("\n") == newest_text(shared_up) != ""


def test_the_javascript_client_works_as_printed(shared_up: Up, tmp_path: Path) -> None:
    """The JavaScript example of the README prints the whole text, under Node with nothing installed."""
    node = shutil.which("node")
    if node is None:
        missing = "node is needed to run the README's JavaScript: install Node.js 20 or newer"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    script = tmp_path / "client.mjs"
    script.write_text(block("js", "await fetch", shared_up))
    assert run(node, str(script)).rstrip("\n") == newest_text(shared_up) != ""


def test_the_shell_session_works_as_pasted(shared_up: Up) -> None:
    """A short poll, a long one from its cursor, the status, the text, and the end."""
    lines = run("bash", "-euo", "pipefail", "-c", block("sh", "JOB=", shared_up)).splitlines()
    short, long, status, text, cancelled = (line for line in lines if line)
    assert short.startswith('{"job_id":"')
    assert '"tokens":["' in long
    assert '"created_at":"' in status
    assert text.startswith("This is the Tokentail demo")
    assert '"status":"cancelled"' in cancelled or '"status":"completed"' in cancelled
