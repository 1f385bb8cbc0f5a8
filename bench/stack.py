"""The stack: a whole Tokentail on loopback, and the servers that it is measured beside. All of it stops with its block.

Its environment is made from nothing, so that no key, proxy or setting of the calling shell gets in.
"""

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bench.cores import pinned
from bench.http_connection import HttpConnection
from bench.program import program
from bench.waiting import wait_until
from tests.free_ports import free_ports
from tokentail.supervisor.child import Child, start_child, stop_child
from tokentail.supervisor.embedded_valkey import EmbeddedValkey

TOKENS_PER_S = 20.0
THIS_BUILD = Path(__file__).parent.parent
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
_READY_S = 20.0
_PROBE_S = 2.0
_GRACE_S = 5.0


@dataclass(frozen=True)
class Stack:
    """Where its parts are."""

    redis_url: str
    upstream_port: int
    web_port: int
    folder: Path  # for logs of further parts
    pids: dict[str, int] = field(default_factory=dict)  # valkey, upstream, web, worker


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="tt-bench-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def running_valkey() -> Iterator[str]:
    """The URL of an embedded Valkey of our own, set as the product sets its own. Call it from the main thread."""
    with temporary_folder() as folder:
        valkey = EmbeddedValkey(folder)
        try:
            valkey.start()
            wait_until(valkey.is_ready, 30, lambda: "Valkey is not ready in time.")
            yield valkey.url
        finally:
            valkey.stop(_GRACE_S)


@contextmanager
def running_stack(
    *,
    tokens_per_s: float = TOKENS_PER_S,
    web_core: int | None = None,
    settings: Mapping[str, str] | None = None,
    build: Path = THIS_BUILD,
) -> Iterator[Stack]:
    """Valkey, upstream, worker and web process, all ready; the web process on a core of its own, if told so.

    Worker and web process are those of `build`, a checkout; one that is not this one has a `.venv` of its own.

    Call it from the main thread. Raises RuntimeError, with the log's end, when a part dies or is not ready in time.
    """
    with ExitStack() as parts:
        redis_url = parts.enter_context(running_valkey())
        folder = parts.enter_context(temporary_folder())
        with contextlib.closing(redis.Redis.from_url(redis_url)) as client:
            pids: dict[str, int] = {"valkey": client.info("server")["process_id"]}
        upstream_port = parts.enter_context(running_upstream(tokens_per_s, folder, pids))
        (web_port,) = free_ports(1)
        environment = part_environment(
            REDIS_URL=redis_url,
            TOKENTAIL_PORT=str(web_port),
            OPENAI_BASE_URL=f"http://127.0.0.1:{upstream_port}/v1",
            TOKENTAIL_IDLE_TIMEOUT_S="600",  # the upstream's silent streams stay open
            PYTHONPATH=str(build),
            **(settings or {}),
        )
        python = sys.executable if build == THIS_BUILD else str(build / ".venv" / "bin" / "python")

        def start(name: str, module: str, is_ready: Callable[[], bool]) -> None:
            part = started_part(name, [python, "-m", module], environment, folder, is_ready)
            pids[name] = parts.enter_context(part).pid

        with nullcontext() if web_core is None else pinned(web_core):
            start("web", "app", lambda: listens(web_port))
        start("worker", "worker", lambda: _has_worker(web_port))
        yield Stack(redis_url, upstream_port, web_port, folder, pids)


@contextmanager
def running_upstream(tokens_per_s: float, folder: Path, pids: dict[str, int] | None = None) -> Iterator[int]:
    """The port of `bench/upstream.py`, whose pid is added to `pids`."""
    with running_program("upstream", folder, tokens_per_s=tokens_per_s) as (port, pid):
        if pids is not None:
            pids["upstream"] = pid
        yield port


@contextmanager
def running_program(name: str, folder: Path, **given: object) -> Iterator[tuple[int, int]]:
    """The port and the pid of one of our programs that serves, with these arguments."""
    (port,) = free_ports(1)
    with started_server(name, program(f"bench.{name}", port=port, **given), port, folder) as child:
        yield port, child.pid


@contextmanager
def running_worker(
    redis_url: str, upstream_port: int, slots: int, core: int, is_ready: Callable[[], object], **settings: str
) -> Iterator[int]:
    """The pid of a worker by itself, on this core; it is killed at the end, and gives no job back."""
    environment = part_environment(
        REDIS_URL=redis_url,
        OPENAI_BASE_URL=f"http://127.0.0.1:{upstream_port}/v1",
        TOKENTAIL_WORKER_CONCURRENCY=str(slots),
        TOKENTAIL_GRACE_S="0",
        TOKENTAIL_LOG_LEVEL="WARNING",
        **settings,
    )
    with temporary_folder() as folder, ExitStack() as parts:
        with pinned(core):
            part = started_part("worker", [sys.executable, "-m", "worker"], environment, folder, is_ready)
            child = parts.enter_context(part)
        yield child.pid
        child.kill()


def part_environment(**settings: str) -> dict[str, str]:
    """The environment of one part: what any program needs, and these settings."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {"PYTHONPATH": str(THIS_BUILD)} | settings


def started_server(
    name: str, argv: Sequence[str], port: int, folder: Path, ready_s: float = _READY_S, **settings: str
) -> AbstractContextManager[Child]:
    """A program with these settings that listens on this port."""
    return started_part(name, argv, part_environment(**settings), folder, lambda: listens(port), ready_s)


@contextmanager
def started_part(
    name: str,
    argv: Sequence[str],
    environment: dict[str, str],
    folder: Path,
    is_ready: Callable[[], object],
    ready_s: float = _READY_S,
) -> Iterator[Child]:
    """A program that runs and is ready; its log goes into the folder. Raises RuntimeError when it fails."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        child = start_child(argv, environment, output=output, cwd=folder)
    try:
        wait_until(
            lambda: child.poll() is not None or is_ready(),
            ready_s,
            lambda: f"{name} is not ready: {log.read_text(errors='replace')[-2000:]}",
        )
        if child.poll() is not None:
            raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}")
        yield child
    finally:
        stop_child(child, _GRACE_S)


@contextmanager
def running_pass_through(upstream_port: int, threads: int, folder: Path) -> Iterator[tuple[int, int]]:
    """The port and the pid of `bench/pass_through.py` before this upstream."""
    (port,) = free_ports(1)
    argv = gunicorn("bench.pass_through:application()", port, threads)
    upstream = f"http://127.0.0.1:{upstream_port}/v1"
    with started_server("pass_through", argv, port, folder, OPENAI_BASE_URL=upstream) as child:
        yield port, child.pid


def gunicorn(application: str, port: int, threads: int) -> list[str]:
    """The command that serves a WSGI application by gunicorn's threads."""
    worker = ["--worker-class", "gthread", "--threads", str(threads), "--keep-alive", "75"]
    return [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *worker, application]


def listens(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), _PROBE_S).close()
    except OSError:
        return False
    return True


def _has_worker(web_port: int) -> bool:
    with HttpConnection(web_port, _PROBE_S) as server:
        try:
            return bool(server.get("/readyz")["workers"])
        except RuntimeError:
            return False  # it answers 503 until a worker has named its models
