"""Latency: from the upstream's byte to the client's token, by every transport, beside the usual pass-through.

The whole system on this machine, on whatever cores the kernel gives it. A bare socket that reads the upstream by itself
shows what of it is the machine's. All take turns, and the order turns, too.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from bench.measure import Measure, latencies, measured, per, ratio, take_turns
from bench.program import run_program
from bench.readers import KEY, READERS, SETTINGS
from bench.stack import Stack, running_pass_through, running_stack

_TOKENS_PER_S = 50.0
_TOKENS = {1: 200, 50: 250, 100: 250}  # streams at once → tokens of each
_ROUNDS = 2
_READERS_STREAMS = 50
_LINGER_MS = 100
PASS_THROUGH = "pass-through: Flask, requests, gunicorn's threads"


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
_PASSED = _Way(PASS_THROUGH, "passed")
_DIRECT = _Way("the upstream itself", "direct")


def measure_latency() -> Iterator[Measure]:
    """p50 and p99 in ms, requests and bytes a token; with the most jobs, the CPU of each process, too."""
    with ExitStack() as parts:
        stack = parts.enter_context(running_stack(tokens_per_s=_TOKENS_PER_S))
        passed = running_pass_through(stack.upstream_port, 2 * max(_TOKENS), stack.folder)
        port, pid = parts.enter_context(passed)
        ports = {_PASSED: port, _DIRECT: stack.upstream_port}
        pids = {**stack.pids, "pass-through": pid}
        for streams in _TOKENS:
            yield from _measure(stack, streams, ports, pids)
    with running_stack(tokens_per_s=_TOKENS_PER_S, settings=SETTINGS) as stack:
        yield from _of_readers(stack)


def _of_readers(stack: Stack) -> Iterator[Measure]:
    """Long polls as browsers send them, beside those of a program with a bearer key."""
    asked = {"streams": _READERS_STREAMS, "tokens": _TOKENS[_READERS_STREAMS], "pids": {"web": stack.pids["web"]}}

    def run(name: str) -> dict[str, Any]:
        return run_program("bench.followers", by="long", port=stack.web_port, named=name, **asked)

    found = take_turns(READERS, _ROUNDS, run)
    for name in READERS[1:]:
        pair, what = (found[name], found[KEY], KEY), f"latency, {_READERS_STREAMS} jobs, long poll of a {name}"
        yield from latencies(what, *pair)
        yield measured(f"{what}, CPU of web", "% of a core", _share("web"), *pair)


def _share(part: str) -> Callable[[Any], float]:
    return lambda run: 100 * ratio(run["cpu_s"][part], run["wall_s"])


def _measure(stack: Stack, streams: int, ports: dict[_Way, int], pids: dict[str, int]) -> Iterator[Measure]:
    asked = {"streams": streams, "tokens": _TOKENS[streams], "pids": pids}

    def run(way: _Way) -> dict[str, Any]:
        port = ports.get(way, stack.web_port)
        return run_program("bench.followers", by=way.by, port=port, linger_ms=way.linger_ms, **asked)

    found = take_turns((*_WAYS, _PASSED, _DIRECT), _ROUNDS, run)
    name = f"latency, {streams} {'job' if streams == 1 else 'jobs'}"
    for way in _WAYS:
        pair, what = (found[way], found[_PASSED], PASS_THROUGH), f"{name}, {way.name}"
        yield from latencies(what, *pair)
        for counted in ("requests", "bytes"):
            yield measured(f"{what}, {counted} a token", "", per(counted, "tokens"), *pair)
    yield from latencies(f"{name}, {_DIRECT.name}", found[_DIRECT])
    if streams == max(_TOKENS):
        for way, runs in found.items():
            for part in runs[0]["cpu_s"]:
                if max(run["cpu_s"][part] for run in runs) > 0.01 * runs[0]["wall_s"]:
                    yield measured(f"{name}, {way.name}, CPU of {part}", "% of a core", _share(part), runs)
