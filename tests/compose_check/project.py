"""One Compose project of this repository: its files, an upstream beside its services, and its clients' address."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.compose_check.engine import CommandFailed, docker, kill_process, run
from tests.free_ports import free_ports
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
IMAGE = "tokentail-check"
BASE = "python:3.13-slim"
_READY_WITHIN_S = 120.0


class Project:
    """A project that runs. `environment` is what a person would export: documented commands work as they are."""

    def __init__(self, name: str, files: tuple[str, ...], folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.key = secrets.token_hex(24)
        (self.port,) = free_ports(1)
        addition = folder / f"{name}.json"
        addition.write_text(json.dumps(_addition()))
        self.environment = {
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_FILE": os.pathsep.join((*(str(ROOT / file) for file in files), str(addition))),
            "TOKENTAIL_API_KEYS": self.key,
            "TOKENTAIL_PORT": str(self.port),
            "OPENAI_BASE_URL": "http://upstream:8080/v1",
            "OPENAI_API_KEY": "none",
            "TOKENTAIL_MODEL": "openai/m",
            "VALKEY_MAXMEMORY": "256mb",
        }

    def compose(self, *arguments: str) -> str:
        """Run one command of Compose. Raises CommandFailed."""
        return run(["docker", "compose", *arguments], self.environment)

    def shell(self, script: str) -> str:
        """Run commands from the documentation, in the folder for temporary files. Raises CommandFailed."""
        guarded = f"cd {self.folder}\n{script.replace('tokentail_', f'{self.name}_')}"
        return run(["bash", "-euo", "pipefail", "-c", guarded], self.environment)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers that run."""
        return self.compose("ps", "--quiet", service).split()

    def kill(self, container: str) -> None:
        """SIGKILL to a container's first process, as the kernel does when memory is short. Docker starts it again."""
        pid = int(docker("inspect", "--format", "{{.State.Pid}}", container))
        kill_process(pid, IMAGE)

    def ready(self, workers: int) -> None:
        """Wait until the web server answers and counts as many workers, and the models of the upstream are served."""
        eventually(lambda: self._is_ready(workers), within_s=_READY_WITHIN_S, what=f"{workers} workers are ready")

    def _is_ready(self, workers: int) -> bool:
        time.sleep(0.1)
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"http://127.0.0.1:{self.port}"
        with contextlib.suppress(requests.RequestException, ValueError):
            counted = requests.get(f"{url}/readyz", headers=headers, timeout=3).json().get("workers")
            models = requests.get(f"{url}/v1/models", headers=headers, timeout=3)
            return counted == workers and "openai/" in models.text
        return False


@contextmanager
def running(name: str, files: tuple[str, ...], folder: Path, workers: int) -> Iterator[Project]:
    """Start a project; at the end remove its containers, networks and volumes."""
    project = Project(name, files, folder)
    try:
        project.compose("up", "--detach", "--scale", f"worker={workers}")
        project.ready(workers)
        yield project
    except (AssertionError, CommandFailed):
        print(project.compose("ps", "--all"), project.compose("logs", "--no-color", "--tail", "60"), flush=True)
        raise
    finally:
        project.compose("down", "--volumes", "--timeout", "1")


def _addition() -> dict[str, object]:
    """A third Compose file: the image under test, and an upstream that an update of that image leaves alone."""
    upstream = {
        "image": BASE,
        "working_dir": "/src",
        "entrypoint": ["python", "-m", "tests.compose_check.upstream"],
        "volumes": [f"{ROOT / 'tests'}:/src/tests:ro"],
        "environment": {"PYTHONDONTWRITEBYTECODE": "1"},
        "init": True,
        "stop_grace_period": "1s",
    }
    return {"services": {"upstream": upstream, "web": {"image": IMAGE}, "worker": {"image": IMAGE}}}
