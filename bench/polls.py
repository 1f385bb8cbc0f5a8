"""Polls: how many short polls one web process answers in a second, and what each costs it.

Beside it, in turns and with the same load: the same Flask application under gunicorn, without the read plane; a fixed
answer on the same ASGI server; and, where they are installed, two peers with the same tokens. All servers share one
core, and only one of them is asked at a time; the load has another.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.cores import Cores, pinned, two_cores
from bench.http_connection import HttpConnection, ask
from bench.measure import Measure, Name, measured, ratio, take_turns
from bench.peer import running_durable_streams, running_nchan
from bench.proc import family_cpu_s
from bench.readers import AUTHORIZATION, KEY, READERS, SETTINGS, reader_named
from bench.stack import Stack, gunicorn, running_program, running_stack, started_server
from bench.waiting import wait_until
from bench.wrk import Pressed, has_wrk, press
from tests.free_ports import free_ports

_ROUNDS = 4
_FOR_S = 1
_CONNECTIONS = 16
_LOG_TOKENS = 200
_NEW_TOKENS = 10
_KINDS = ("10 new tokens", "nothing new", "an ended job")
_FLASK_THREADS = 32
_TIMEOUT_S = 10.0

_TOKEN = re.compile(rb'" \d+"')  # of our upstream, as JSON
_OURS = "ours"

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
        found = _pressed(targets, cores)
    for kind in _KINDS:
        for server in [server for server, of_kind in targets if of_kind == kind and server != _OURS]:
            yield from _beside(f"polls, {kind}", found[_OURS, kind], found[server, kind], server)
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
        job = server.submit("silent", _LOG_TOKENS)["links"]["self"]
        _wait_until(server, job, lambda job: job["token_count"] == _LOG_TOKENS)
        behind = server.get(f"{job}/tokens?limit={1 + _LOG_TOKENS - _NEW_TOKENS}")["cursor"]
        targets = {}
        for name in READERS:
            reader = reader_named(name, stack.web_port, job)
            path = f"{job}/tokens?cursor={behind}{reader.query}"
            targets[name] = _Target(stack.web_port, path, stack.pids["web"], reader.headers)
            _look_at(targets[name], _NEW_TOKENS)
        found = _pressed(targets, cores)
        server.post(f"{job}/cancel", {}, 200)
    for name in READERS[1:]:
        yield from _beside(f"polls, {name}", found[name], found[KEY], KEY)


@contextmanager
def _asked(stack: Stack, cores: Cores) -> Iterator[dict[tuple[str, str], _Target]]:
    """(server, kind of poll) → what is asked, while all servers run."""
    with ExitStack() as parts, HttpConnection(stack.web_port, _TIMEOUT_S) as server:
        jobs = server.submit("silent", _LOG_TOKENS), server.submit("bench", _NEW_TOKENS)
        live, ended = (job["links"]["self"] for job in jobs)
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
        (flask_port,) = free_ports(1)
        with pinned(cores.server):
            argv = gunicorn("app.wsgi:application()", flask_port, _FLASK_THREADS)
            part = started_server("flask_web", argv, flask_port, stack.folder, REDIS_URL=stack.redis_url)
            flask = parts.enter_context(part).pid
            fixed_port, fixed = parts.enter_context(running_program("bare_web", stack.folder))
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


def _pressed(targets: Mapping[Name, _Target], cores: Cores) -> dict[Name, list[Pressed]]:
    def run(name: Name) -> Pressed:
        target = targets[name]
        return press(
            target.port,
            target.path,
            headers=target.headers,
            connections=_CONNECTIONS,
            for_s=_FOR_S,
            core=cores.load,
            server_cpu_s=lambda: family_cpu_s(target.pid),
        )

    # The first round is not counted: servers that compile while they run have done so by then.
    return {name: runs[1:] for name, runs in take_turns(targets, 1 + _ROUNDS, run).items()}


def _beside(name: str, ours: list[Pressed], limit: list[Pressed], limit_name: str) -> Iterator[Measure]:
    yield measured(name, "polls/s", lambda run: run.per_s, ours, limit, limit_name)
    yield measured(f"{name}, CPU a poll", "µs", lambda run: run.server_us, ours, limit, limit_name)


def _look_at(target: _Target, tokens: int) -> None:
    """Raises RuntimeError unless so many tokens are answered: the load counts answers and does not read them."""
    _, said = ask(target.port, "GET", target.path, headers=dict(line.split(": ", 1) for line in target.headers))
    if len(_TOKEN.findall(said)) != tokens:
        raise RuntimeError(f"{target.path} answers {said!r}")


def _wait_until(server: HttpConnection, path: str, condition: Callable[[dict[str, Any]], bool]) -> None:
    wait_until(
        lambda: condition(server.get(path)),
        _TIMEOUT_S,
        lambda: f"the job did not get where it should be: {server.get(path)}",
    )
