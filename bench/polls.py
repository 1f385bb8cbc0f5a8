"""Polls: how many short polls one web process answers in a second, and what each costs it.

Beside it, in turns and with the same load: the same Flask application under gunicorn, without the read plane; a fixed
answer on the same ASGI server; and, where they are installed, two peers with the same tokens. All servers share one
core, and only one of them is asked at a time; the load has another.
"""

import http.client
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from bench.cores import Cores, pinned, two_cores
from bench.http_connection import HttpConnection
from bench.measure import Measure, ratio
from bench.peer import running_durable_streams, running_nchan
from bench.proc import family_cpu_s
from bench.readers import AUTHORIZATION, KEY, READERS, SETTINGS, reader_named
from bench.stack import Stack, free_ports, listens, part_environment, running_stack, started_part
from bench.wrk import Pressed, has_wrk, press

_ROUNDS = 4
_FOR_S = 1
_CONNECTIONS = 16
_LOG_TOKENS = 200
_NEW_TOKENS = 10
_KINDS = ("10 new tokens", "nothing new", "an ended job")
_FLASK_THREADS = 32
_TIMEOUT_S = 10.0
_LOOK_AGAIN_S = 0.05

_TOKEN = re.compile(rb'" \d+"')  # of our upstream, as JSON
_OURS = "ours"

Name = TypeVar("Name")
_FIXED = "a fixed answer on uvicorn"


@dataclass(frozen=True)
class _Target:
    """One thing that is asked of one server."""

    port: int
    path: str
    pid: int
    headers: tuple[str, ...] = ()


def measure_polls() -> Iterator[Measure]:
    """Polls a second and CPU of the server a poll, each kind beside every limit that has it."""
    cores = two_cores()
    with pinned(cores.load), running_stack(web_core=cores.server) as stack, _asked(stack, cores) as targets:
        found = _take_turns(targets, cores)
    for kind in _KINDS:
        for server in [server for server, of_kind in targets if of_kind == kind and server != _OURS]:
            ours, limit = found[_OURS, kind], found[server, kind]
            rates = [run.per_s for run in ours], [run.per_s for run in limit]
            costs = [run.server_us for run in ours], [run.server_us for run in limit]
            yield Measure(f"polls, {kind}", "polls/s", *rates, server)
            yield Measure(f"polls, {kind}, CPU a poll", "µs", *costs, server)
    load = [100 * ratio(run.load_cpu_s, run.wall_s) for run in found[_OURS, _KINDS[0]]]
    yield Measure(f"polls, the load ({'wrk' if has_wrk() else 'ours'})", "% of a core", load)
    yield from _of_readers(cores)


def _of_readers(cores: Cores) -> Iterator[Measure]:
    """Measure a poll of ten new tokens as browsers send it, beside that of a program with a bearer key."""
    with (
        pinned(cores.load),
        running_stack(web_core=cores.server, settings=SETTINGS) as stack,
        HttpConnection(stack.web_port, _TIMEOUT_S, [AUTHORIZATION]) as server,
    ):
        job = _submit(server, "openai/silent", _LOG_TOKENS)
        _wait_until(server, job, lambda job: job["token_count"] == _LOG_TOKENS)
        behind = server.get(f"{job}/tokens?limit={1 + _LOG_TOKENS - _NEW_TOKENS}")["cursor"]
        targets = {}
        for name in READERS:
            reader = reader_named(name, stack.web_port, job)
            path = f"{job}/tokens?cursor={behind}{reader.query}"
            targets[name] = _Target(stack.web_port, path, stack.pids["web"], reader.headers)
            _look_at(targets[name], _NEW_TOKENS)
        found = _take_turns(targets, cores)
        server.post(f"{job}/cancel", {}, 200)
    for name in READERS[1:]:
        ours, limit = found[name], found[KEY]
        rates = [run.per_s for run in ours], [run.per_s for run in limit]
        costs = [run.server_us for run in ours], [run.server_us for run in limit]
        yield Measure(f"polls, {name}", "polls/s", *rates, KEY)
        yield Measure(f"polls, {name}, CPU a poll", "µs", *costs, KEY)


@contextmanager
def _asked(stack: Stack, cores: Cores) -> Iterator[dict[tuple[str, str], _Target]]:
    """(server, kind of poll) → what is asked, while all servers run."""
    with ExitStack() as parts, HttpConnection(stack.web_port, _TIMEOUT_S) as server:
        live, ended = _submit(server, "openai/silent", _LOG_TOKENS), _submit(server, "openai/bench", _NEW_TOKENS)
        _wait_until(server, live, lambda job: job["token_count"] == _LOG_TOKENS)
        _wait_until(server, ended, lambda job: job["status"] == "completed")
        # The element before the tokens is the generation's start.
        behind = server.get(f"{live}/tokens?limit={1 + _LOG_TOKENS - _NEW_TOKENS}")["cursor"]
        newest = server.get(f"{live}/tokens?cursor={behind}")
        tokens = server.get(f"{live}/tokens?cursor=0")["tokens"]
        paths = {
            "10 new tokens": f"{live}/tokens?cursor={behind}",
            "nothing new": f"{live}/tokens?cursor={newest['cursor']}",
            "an ended job": f"{ended}/tokens?cursor=0",
        }
        flask_port, fixed_port = free_ports(2)
        with pinned(cores.server):
            flask = _start(parts, stack, "flask_web", flask_port, _flask_argv(flask_port))
            fixed = _start(parts, stack, "bare_web", fixed_port, ["-m", "bench.bare_web", "--port", str(fixed_port)])
            peers = []
            if has_wrk():
                split = tokens[:-_NEW_TOKENS], tokens[-_NEW_TOKENS:]
                peers = [
                    parts.enter_context(running(stack.folder, *split))
                    for running in (running_durable_streams, running_nchan)
                ]
            else:
                print("no wrk here: the load is our own program, which cannot read the peers", file=sys.stderr)
        targets = {(_OURS, kind): _Target(stack.web_port, paths[kind], stack.pids["web"]) for kind in _KINDS}
        targets |= {("Flask under gunicorn", kind): _Target(flask_port, paths[kind], flask) for kind in _KINDS}
        size = len(json.dumps(newest, separators=(",", ":")))
        targets[_FIXED, _KINDS[0]] = _Target(fixed_port, f"/fixed/{size}", fixed)
        for peer in filter(None, peers):
            targets |= {(peer.name, kind): _Target(peer.port, path, peer.pid) for kind, path in peer.paths.items()}
        for (_, kind), target in targets.items():
            if target.pid != fixed:
                _look_at(target, 0 if kind == "nothing new" else _NEW_TOKENS)
        yield targets
        server.post(f"{live}/cancel", {}, 200)


def _take_turns(targets: Mapping[Name, _Target], cores: Cores) -> dict[Name, list[Pressed]]:
    found: dict[Name, list[Pressed]] = {name: [] for name in targets}
    for i in range(1 + _ROUNDS):  # the first is not counted: servers that compile while they run have done so by then
        for name in list(targets)[:: -1 if i % 2 else 1]:
            target = targets[name]
            found[name].append(
                press(
                    target.port,
                    target.path,
                    headers=target.headers,
                    connections=_CONNECTIONS,
                    for_s=_FOR_S,
                    core=cores.load,
                    server_cpu_s=lambda pid=target.pid: family_cpu_s(pid),  # type: ignore[misc]
                )
            )
    return {name: runs[1:] for name, runs in found.items()}


def _look_at(target: _Target, tokens: int) -> None:
    """Raises RuntimeError unless so many tokens are answered: the load counts answers and does not read them."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=_TIMEOUT_S)
    connection.request("GET", target.path, headers=dict(line.split(": ", 1) for line in target.headers))
    said = connection.getresponse().read()
    connection.close()
    if len(_TOKEN.findall(said)) != tokens:
        raise RuntimeError(f"{target.path} answers {said!r}")


def _flask_argv(port: int) -> list[str]:
    threads = ["--worker-class", "gthread", "--threads", str(_FLASK_THREADS), "--keep-alive", "75"]
    return ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *threads, "app.wsgi:application()"]


def _start(parts: ExitStack, stack: Stack, name: str, port: int, argv: list[str]) -> int:
    """The pid of a Python program that listens there."""
    environment = part_environment(REDIS_URL=stack.redis_url)
    part = started_part(name, [sys.executable, *argv], environment, stack.folder, lambda: listens(port))
    return parts.enter_context(part).pid


def _submit(server: HttpConnection, model: str, tokens: int) -> str:
    """The path of a new job."""
    path: str = server.post("/v1/jobs", {"prompt": "x", "model": model, "max_tokens": tokens}, 202)["links"]["self"]
    return path


def _wait_until(server: HttpConnection, path: str, condition: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition(job := server.get(path)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the job did not get where it should be: {job}")
        time.sleep(_LOOK_AGAIN_S)
