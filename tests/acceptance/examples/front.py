"""own_login/front.py as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.running import start
from tests.waiting import eventually

FRONT = Path(__file__).parents[3] / "examples" / "own_login" / "front.py"


@contextmanager
def running_front(url: str, key: str, folder: Path) -> Iterator[str]:
    """The app in front of the Tokentail at `url`, to which it has `key`; its address."""
    log = folder / "front.log"
    settings = {"TOKENTAIL_URL": url, "TOKENTAIL_API_KEY": key, "JOBS_FILE": str(folder / "jobs.sqlite3")}
    argv = [sys.executable, "-m", "flask", "--app", str(FRONT), "run", "--port", "0"]
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
    assert key not in log.read_text()
