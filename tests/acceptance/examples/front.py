"""The Flask apps among the examples, each as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.running import start
from tests.waiting import eventually

EXAMPLES = Path(__file__).parents[3] / "examples"


@contextmanager
def running_front(url: str, key: str, folder: Path) -> Iterator[str]:
    """The app in front of the Tokentail at `url`, to which it has `key`; its address."""
    settings = {"TOKENTAIL_URL": url, "TOKENTAIL_API_KEY": key, "JOBS_FILE": str(folder / "jobs.sqlite3")}
    with _running(EXAMPLES / "own_login" / "front.py", settings, folder / "front.log") as address:
        yield address
    assert key not in (folder / "front.log").read_text()


@contextmanager
def running_chat(url: str, key: str, folder: Path, port: int = 0) -> Iterator[str]:
    """The site with a chat, of the Tokentail at `url`; its address. An empty key is none."""
    settings = {"TOKENTAIL_URL": url, "CHATS_FILE": str(folder / "chats.sqlite3")}
    settings |= {"TOKENTAIL_API_KEY": key} if key else {}
    with _running(EXAMPLES / "chat" / "chat_site.py", settings, folder / "chat.log", port) as address:
        yield address


@contextmanager
def _running(app: Path, settings: Mapping[str, str], log: Path, port: int = 0) -> Iterator[str]:
    argv = [sys.executable, "-m", "flask", "--app", str(app), "run", "--port", str(port)]
    with log.open("w") as output:
        command = start(argv, settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        eventually(lambda: "Running on http" in log.read_text(), within_s=20, what="it listens")
        address = re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())
        assert address
        yield address[1]
    finally:
        os.killpg(command.pid, signal.SIGKILL)
        command.wait(10)
