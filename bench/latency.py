"""Latency: from the upstream's byte to the client's token, by every transport, beside the usual pass-through.

The whole system on this machine, on whatever cores the kernel gives it. A bare socket that reads the upstream by itself
shows what of it is the machine's. All take turns, and the order turns, too.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.measure import Measure, percentile, ratio
from bench.program import run_program
from bench.readers import KEY, READERS, SETTINGS
from bench.stack import Stack, free_ports, listens, part_environment, running_stack, started_part

_TOKENS_PER_S = 50.0
_TOKENS = {1: 200, 50: 250, 100: 250}  # streams at once → tokens of each
_ROUNDS = 2
_READERS_STREAMS = 50
_LINGER_MS = 100
_PASS_THROUGH = "pass-through: Flask, requests, gunicorn's threads"


@dataclass(frozen=True)
class _Way:
    """How tokens come to a client."""

    name: str
    by: str
    linger_ms: int = 0


_WAYS = (
    _Way("short poll", "short"),
    _Way("long poll", "long"),
    _Way(f"long poll, linger_ms={_LINGER_MS}", "long", _LINGER_MS),
    _Way("SSE", "sse"),
    _Way(f"SSE, linger_ms={_LINGER_MS}", "sse", _LINGER_MS),
    _Way("Chat Completions", "chat"),
    _Way("Responses", "responses"),
    _Way("WebSocket", "ws"),
    _Way(f"WebSocket, linger_ms={_LINGER_MS}", "ws", _LINGER_MS),
)
_PASSED = _Way(_PASS_THROUGH, "passed")
_DIRECT = _Way("the upstream itself", "direct")


def measure_latency() -> Iterator[Measure]:
    """p50 and p99 in ms, requests and bytes a token; with the most jobs, the CPU of each process, too."""
    with running_stack(tokens_per_s=_TOKENS_PER_S) as stack, _running_pass_through(stack) as (port, pid):
        ports = {_PASSED: port, _DIRECT: stack.upstream_port}
        pids = {**stack.pids, "pass-through": pid}
        for streams in _TOKENS:
            yield from _measure(stack, streams, ports, pids)
    with running_stack(tokens_per_s=_TOKENS_PER_S, settings=SETTINGS) as stack:
        yield from _of_readers(stack)


def _of_readers(stack: Stack) -> Iterator[Measure]:
    """Long polls as browsers send them, beside those of a program with a bearer key."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in READERS}
    for i in range(_ROUNDS):
        for name in READERS[:: -1 if i % 2 else 1]:
            sizes = ("--streams", _READERS_STREAMS, "--tokens", _TOKENS[_READERS_STREAMS])
            asked = ("--port", stack.web_port, *sizes, "--reader", name, f"--pid=web={stack.pids['web']}")
            found[name].append(run_program("bench.followers", "long", *asked))
    for name in READERS[1:]:
        pair, what = (found[name], found[KEY]), f"latency, {_READERS_STREAMS} jobs, long poll of a {name}"
        for percent in (50, 99):
            mine, theirs = ([percentile(run["latencies_ns"], percent) / 1e6 for run in runs] for runs in pair)
            yield Measure(f"{what}, p{percent}", "ms", mine, theirs, KEY, "difference")
        mine, theirs = ([100 * ratio(run["cpu_s"]["web"], run["wall_s"]) for run in runs] for runs in pair)
        yield Measure(f"{what}, CPU of web", "% of a core", mine, theirs, KEY)


def _measure(stack: Stack, streams: int, ports: dict[_Way, int], pids: dict[str, int]) -> list[Measure]:
    ways = [*_WAYS, _PASSED, _DIRECT]
    found: dict[_Way, list[dict[str, Any]]] = {way: [] for way in ways}
    named = [f"--pid={name}={pid}" for name, pid in pids.items()]
    for i in range(_ROUNDS):
        for way in ways[:: -1 if i % 2 else 1]:
            sizes = ("--streams", streams, "--tokens", _TOKENS[streams], "--linger-ms", way.linger_ms)
            port = ports.get(way, stack.web_port)
            found[way].append(run_program("bench.followers", way.by, "--port", port, *sizes, *named))
    name = f"latency, {streams} {'job' if streams == 1 else 'jobs'}"
    measures = []
    for way in _WAYS:
        ours, limit = found[way], found[_PASSED]
        for percent in (50, 99):
            mine, theirs = ([percentile(run["latencies_ns"], percent) / 1e6 for run in runs] for runs in (ours, limit))
            what = f"{name}, {way.name}, p{percent}"
            measures.append(Measure(what, "ms", mine, theirs, _PASS_THROUGH, "difference"))
        for what in ("requests", "bytes"):
            mine, theirs = ([ratio(run[what], run["tokens"]) for run in runs] for runs in (ours, limit))
            measures.append(Measure(f"{name}, {way.name}, {what} a token", "", mine, theirs, _PASS_THROUGH))
    for percent in (50, 99):
        times_ms = [percentile(run["latencies_ns"], percent) / 1e6 for run in found[_DIRECT]]
        measures.append(Measure(f"{name}, {_DIRECT.name}, p{percent}", "ms", times_ms))
    if streams == max(_TOKENS):
        measures += [
            Measure(
                f"{name}, {way.name}, CPU of {part}",
                "% of a core",
                [100 * ratio(run["cpu_s"][part], run["wall_s"]) for run in runs],
            )
            for way, runs in found.items()
            for part in runs[0]["cpu_s"]
            if max(run["cpu_s"][part] for run in runs) > 0.01 * runs[0]["wall_s"]
        ]
    return measures


@contextmanager
def _running_pass_through(stack: Stack) -> Iterator[tuple[int, int]]:
    """The port and the pid of the pass-through."""
    (port,) = free_ports(1)
    threads = ["--worker-class", "gthread", "--threads", str(2 * max(_TOKENS))]
    argv = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        f"127.0.0.1:{port}",
        *threads,
        "bench.pass_through:application()",
    ]
    environment = part_environment(OPENAI_BASE_URL=f"http://127.0.0.1:{stack.upstream_port}/v1")
    with started_part("pass_through", argv, environment, stack.folder, lambda: listens(port)) as child:
        yield port, child.pid
