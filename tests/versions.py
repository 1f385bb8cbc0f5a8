"""`make versions FROM=v0.1.0`: upgrade from another version to this tree and go back, while a job runs.

The other version is a commit of this repository. Its code runs with the libraries of this tree. Each process is started
beside the one that it replaces, and the old one then gets SIGTERM, as docs/releases.md advises; both orders are tried.
"""

import argparse
import io
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.acceptance.running import start
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.client import Client, Update

ROOT = Path(__file__).parents[1]
ANSWER = "demo?tokens=120&tps=10"  # twelve seconds: longer than the change of two processes
GRACE_S = "1"  # shorter than the answer, so that the old worker hands it over
ORDERS = {"web first": ("app", "worker"), "workers first": ("worker", "app")}


@dataclass
class Deployment:
    """One web process and one worker on one Valkey, each of whichever version."""

    redis_url: str
    folder: Path
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    url: str = ""

    def replace(self, module: str, tree: Path) -> None:
        """Start the module's process from a tree, wait until it serves, and stop the one before it."""
        (port,) = free_ports(1)
        settings = {"REDIS_URL": self.redis_url, "TOKENTAIL_GRACE_S": GRACE_S, "TOKENTAIL_PORT": str(port)}
        with (self.folder / f"{module}.log").open("a") as log:
            argv = [sys.executable, "-P", "-m", module]
            new = start(argv, settings | {"PYTHONPATH": str(tree)}, cwd=self.folder, stdout=log, stderr=log)
        old = self.running.get(module)
        self.running[module] = new
        if module == "app":
            self.url = f"http://127.0.0.1:{port}"
            eventually(lambda: _answers(self.url), within_s=30, what="the web process answers")
        else:
            wanted = 2 if old else 1
            eventually(lambda: _workers(self.url) >= wanted, within_s=30, what="the worker is alive")
        if old:
            _stop(old)

    def close(self) -> None:
        for process in self.running.values():
            _stop(process)


def try_change(before: Path, after: Path, order: tuple[str, str], folder: Path) -> str:
    """Replace both processes in this order while a job runs; what its reader saw. Raises AssertionError."""
    with ValkeyServer() as valkey, closing(Deployment(valkey.url, folder)) as deployment:
        for module in ("app", "worker"):
            deployment.replace(module, before)
        job_id = _submitted(deployment.url)
        eventually(lambda: _status(deployment.url, job_id) == "running", within_s=10, what="the job runs")
        seen = [*_first_updates(deployment.url, job_id)]
        for module in order:
            deployment.replace(module, after)
        updates = _rest(deployment.url, job_id, seen[-1].cursor)
        text = "".join(update.text for update in seen)
        for update in updates:
            text = update.applied_to(text)
        with Client(deployment.url) as client:
            job, whole = client.job(job_id), client.text(job_id)
        assert (str(job.status), text) == ("completed", whole), f"{job.status}: {text!r} is not {whole!r}"
        assert len(whole.split()) > 100, whole
        with Client(deployment.url) as client:  # a job that both processes of the later version see from its beginning
            assert client.ask("Hello!", model="demo?tokens=20&tps=200")
        resets = sum(update.is_reset for update in updates)
        return f"the running job completed, its reader has the whole text, {resets} reset(s)"


@contextmanager
def closing(deployment: Deployment) -> Iterator[Deployment]:
    """Stop its processes at the end."""
    try:
        yield deployment
    finally:
        deployment.close()


def main() -> int:
    """Try both directions in both orders; the exit status is 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", help="the other version: a tag or a commit")
    other = parser.parse_args().other
    failures = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokentail-versions-")))
        tree = _tree_of(other, folder / "other")
        directions = {f"from {other} to this tree": (tree, ROOT), f"from this tree back to {other}": (ROOT, tree)}
        for direction, (before, after) in directions.items():
            for name, order in ORDERS.items():
                try:
                    outcome = try_change(before, after, order, folder)
                except AssertionError as error:
                    outcome, failures = f"FAILED: {error}", failures + 1
                print(f"{direction}, {name}: {outcome}", flush=True)
    return 1 if failures else 0


def _tree_of(version: str, folder: Path) -> Path:
    archive = subprocess.run(
        ["git", "archive", version, "tokentail", "app", "worker"], cwd=ROOT, check=False, capture_output=True
    )
    if archive.returncode:
        reason = archive.stderr.decode(errors="replace").strip()
        sys.exit(f"versions: git has no version {version} here: name a tag (git tag) or a commit (git log). {reason}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    where = "import app, worker, tokentail; print(app.__path__[0], worker.__path__[0], tokentail.__path__[0])"
    with start([sys.executable, "-P", "-c", where], {"PYTHONPATH": str(folder)}, stdout=subprocess.PIPE) as imported:
        found, _ = imported.communicate(timeout=60)
    assert found.split() == [str(folder / name) for name in ("app", "worker", "tokentail")], found
    return folder


def _submitted(url: str) -> str:
    with Client(url) as client:
        return client.submit("Hello!", model=ANSWER).id


def _first_updates(url: str, job_id: str) -> Iterator[Update]:
    """Some of the answer, before anything is replaced."""
    with Client(url) as client:
        for update in client.follow(job_id):
            yield update
            if update.tokens:
                return


def _rest(url: str, job_id: str, cursor: str) -> list[Update]:
    with Client(url) as client:
        return list(client.follow(job_id, cursor))


def _status(url: str, job_id: str) -> str:
    return str(requests.get(f"{url}/v1/jobs/{job_id}", timeout=5).json()["status"])


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def _workers(url: str) -> int:
    return len(requests.get(f"{url}/v1/overview", timeout=5).json()["workers"])


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


if __name__ == "__main__":
    sys.exit(main())
