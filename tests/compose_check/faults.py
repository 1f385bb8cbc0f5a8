"""What is done to a project while it is under load: kills, scaling, updates, and fail-overs of Sentinel's projects."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.compose_check.engine import build_anew, docker
from tests.compose_check.project import IMAGE, ROOT, Project

WORKERS = 3
_QUIET_S = 8.0
_HUNG_S = 10.0
_PAGE = ROOT / "docs" / "deployment.md"


@dataclass(frozen=True)
class Fault:
    """One thing that is done, by its name in the table."""

    title: str
    do: Callable[[Project], None]


def documented(heading: str) -> list[str]:
    """The commands of the first block after these words of docs/deployment.md."""
    block = re.search(r"```sh\n(.*?)```", _PAGE.read_text().partition(heading)[2], re.DOTALL)
    assert block, heading
    return [line.strip() for line in block[1].splitlines() if line.strip()]


def _wait(_project: Project) -> None:
    time.sleep(_QUIET_S)


def _kill(service: str, project: Project) -> None:
    project.kill(project.containers(service)[0])
    project.ready(WORKERS)


def _scale(project: Project) -> None:
    for workers in (5, WORKERS):
        project.compose("up", "--detach", "--no-recreate", "--scale", f"worker={workers}")
        project.ready(workers)


def _update(commands: slice, project: Project) -> None:
    """Give the image's name to another image, and do these of the documented commands."""
    build_anew(IMAGE)
    build, *rest = documented("**Upgrading.**")
    assert build.endswith(" build"), build
    for command in rest[commands]:
        project.shell(command)
    project.ready(WORKERS)


def _replace_all_workers(project: Project) -> None:
    build_anew(IMAGE)
    project.compose("up", "--detach", "--no-deps", "--scale", f"worker={WORKERS}", "worker")
    project.ready(WORKERS)


def _primary(project: Project) -> tuple[str, str]:
    """Service and container of the primary that the sentinels name."""
    ask = ("valkey-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "tokentail")
    address = project.compose("exec", "--no-TTY", "sentinel-2", *ask).split()[0]
    number = address.rpartition(".")[2]
    service = {"11": "valkey", "12": "valkey-2", "13": "valkey-3"}[number]
    (container,) = project.containers(service)
    return service, container


def _kill_primary(project: Project) -> None:
    _, container = _primary(project)
    project.kill(container)
    project.ready(WORKERS)


def _fail_over(project: Project) -> None:
    """`docker kill` counts as a stop: nothing starts the container again before this does."""
    service, container = _primary(project)
    docker("kill", container)
    project.ready(WORKERS)
    assert _primary(project)[0] != service, "no fail-over"
    project.compose("start", service)
    time.sleep(_QUIET_S)
    role = project.compose("exec", "--no-TTY", service, "valkey-cli", "role").split()[0]
    assert role == "slave", f"{service} returned as {role}"


def _hang_primary(project: Project) -> None:
    service, container = _primary(project)
    docker("pause", container)
    time.sleep(_HUNG_S)
    docker("unpause", container)
    project.ready(WORKERS)
    assert _primary(project)[0] != service, "no fail-over"


def _restart_all(project: Project) -> None:
    """As a machine that starts anew, but for the upstream. Readers find their answers again, and their jobs end."""
    services = set(project.compose("config", "--services").split()) - {"upstream"}
    project.compose("stop", *services)
    project.compose("start", *services)
    project.ready(WORKERS)


COMPOSE = (
    Fault("none", _wait),
    Fault("kill -9 of a worker", partial(_kill, "worker")),
    Fault("kill -9 of the web server", partial(_kill, "web")),
    Fault("kill -9 of Valkey", partial(_kill, "valkey")),
    Fault("`--scale worker=5`, then 3", _scale),
    Fault("update, first step: web", partial(_update, slice(0, 1))),
    Fault("update, second step: workers", partial(_update, slice(1, None))),
    Fault("(all workers replaced at once)", _replace_all_workers),
)
SENTINEL = (
    Fault("none", _wait),
    Fault("kill -9 of the primary, restarted by Docker", _kill_primary),
    Fault("the primary stays down; it returns as a replica", _fail_over),
    Fault("the primary hangs for 10 s", _hang_primary),
    Fault("kill -9 of a sentinel", partial(_kill, "sentinel-1")),
    Fault("everything stopped, then started", _restart_all),
)
