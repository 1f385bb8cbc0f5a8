"""A real `tokentail up`, with all its children, and the commands that talk to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.waiting import eventually

TOKENTAIL = str(Path(sys.executable).parent / "tokentail")
_OURS = ("TOKENTAIL_", "OPENAI_", "REDIS_URL")


def environment(**settings: str) -> dict[str, str]:
    """This environment without anybody's settings, and with these."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | settings


def start(argv: list[str], settings: Mapping[str, str], **options: Any) -> subprocess.Popen[str]:
    """Start one of our commands in a process group of its own.

    Ctrl-C reaches it even where this test run was started in the background.
    """
    return subprocess.Popen(
        argv,
        text=True,
        env=environment(**settings),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - takes no lock
        **options,
    )


class Up:
    """A running `tokentail up` that has said where it is."""

    def __init__(self, command: subprocess.Popen[str], url: str, folder: Path) -> None:
        self.command = command
        self.url = url
        self.data_dir = folder / "data"
        self._log = folder / "up.log"

    @property
    def log(self) -> str:
        """What it and its children have logged."""
        return self._log.read_text()

    def children(self) -> dict[str, int]:
        """Name → process id of its children: valkey, local_model, worker, app."""
        pids = Path(f"/proc/{self.command.pid}/task/{self.command.pid}/children").read_text().split()
        return {name: int(pid) for pid in pids if (name := _name(int(pid)))}

    def submit(self, **body: Any) -> str:
        """Submit a request; the job's id."""
        answer = requests.post(f"{self.url}/v1/jobs", json=body, timeout=10)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON at `path`."""
        answer = requests.get(self.url + path, params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, job_id: str) -> str:
        return str(self.get(f"/v1/jobs/{job_id}")["status"])

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command of the command line against it, to its end."""
        return subprocess.run(
            [TOKENTAIL, *arguments],
            env=environment(TOKENTAIL_URL=self.url),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command of the command line against it."""
        return start(
            [TOKENTAIL, *arguments],
            {"TOKENTAIL_URL": self.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to every process of the group."""
        os.killpg(self.command.pid, signal.SIGINT)


def _name(pid: int) -> str | None:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if b"valkey-server" in words[0]:
        return "valkey"
    return words[words.index(b"-m") + 1].decode().rpartition(".")[2] if b"-m" in words else None


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running_up(folder: Path, *options: str, cwd: Path | None = None, **settings: str) -> Iterator[Up]:
    """`tokentail up` on a free port with its data in `folder`; stopped at the end, if the test has not."""
    log = folder / "up.log"
    argv = [TOKENTAIL, "up", "--port", "0", "--data-dir", str(folder / "data"), *options]
    with log.open("w") as stderr:
        command = start(argv, settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, cwd=cwd)
    assert command.stdout is not None
    try:
        first = command.stdout.readline()  # it says nothing before it is ready
        assert first.startswith("Tokentail is at http://"), f"up did not start:\n{log.read_text()}"
        yield Up(command, first.split()[3], folder)
    finally:
        command.send_signal(signal.SIGINT)
        try:
            command.wait(2)
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGINT)  # the grace of running jobs is not what is tested
            command.wait(20)
        command.stdout.close()


def wait_for_end(up: Up, job_id: str, within_s: float = 10.0) -> str:
    """The job's closed status."""
    eventually(lambda: up.status(job_id) not in {"queued", "running"}, within_s=within_s, what=f"{job_id} has ended")
    return up.status(job_id)
