"""Polls: how many short polls one web process answers in a second, beside bare Flask under the same server.

The three kinds of poll and the two limits take turns, round by round; the order turns, too.
"""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from bench.http_connection import HttpConnection
from bench.measure import Measure
from bench.program import run_program
from bench.stack import Stack
from tokentail.commands import live_channel

_ROUNDS = 4
_FOR_S = 1.2
_CONNECTIONS = 16
_LOG_TOKENS = 200
_NEW_TOKENS = 10
_TIMEOUT_S = 10.0
_LOOK_AGAIN_S = 0.05


def measure_polls(stack: Stack) -> list[Measure]:
    """Polls a second, each kind beside a fixed answer of its size and beside a bare LRANGE."""
    with HttpConnection(stack.web_port, _TIMEOUT_S) as server:
        live, ended = _submit(server, "openai/silent", _LOG_TOKENS), _submit(server, "openai/bench", _NEW_TOKENS)
        _wait_until(server, live, lambda job: job["token_count"] == _LOG_TOKENS)
        _wait_until(server, ended, lambda job: job["status"] == "completed")
        # The element before the tokens is the generation's start.
        behind = server.get(f"{live}/tokens?limit={1 + _LOG_TOKENS - _NEW_TOKENS}")["cursor"]
        newest = server.get(f"{live}/tokens?cursor={behind}")
        kinds = {
            "10 new tokens": f"{live}/tokens?cursor={behind}",
            "nothing new": f"{live}/tokens?cursor={newest['cursor']}",
            "an ended job": f"{ended}/tokens?cursor=0",
        }
        assert len(newest["tokens"]) == _NEW_TOKENS
        sizes = {kind: len(json.dumps(server.get(path), separators=(",", ":"))) for kind, path in kinds.items()}
        loads = {(kind, "ours"): (stack.web_port, path) for kind, path in kinds.items()}
        loads |= {(kind, "fixed"): (stack.bare_port, f"/fixed/{sizes[kind]}") for kind in kinds}
        key = quote(live_channel(live.rpartition("/")[2]), safe="")
        loads["", "lrange"] = stack.bare_port, f"/lrange/{key}"
        found = _take_turns(loads)
        server.post(f"{live}/cancel", {}, 200)
    rates = {target: [load["answers"] / load["wall_s"] for load in of_it] for target, of_it in found.items()}
    measures = []
    for kind in kinds:
        fixed = "Flask, a fixed answer of the same size"
        measures.append(Measure(f"polls, {kind}", "polls/s", rates[kind, "ours"], rates[kind, "fixed"], fixed))
    first = next(iter(kinds))
    bare = "Flask, one LRANGE of 10 tokens"
    measures.append(Measure(f"polls, {first}", "polls/s", rates[first, "ours"], rates["", "lrange"], bare))
    ours, theirs = ([100 * load["cpu_s"] / load["wall_s"] for load in found[first, by]] for by in ("ours", "fixed"))
    measures.append(Measure("polls, the load's own process", "% of a core", ours, theirs, "on the fixed answer"))
    return measures


def _take_turns(loads: dict[tuple[str, str], tuple[int, str]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {target: [] for target in loads}
    for i in range(_ROUNDS):
        for target in list(loads)[:: -1 if i % 2 else 1]:
            port, path = loads[target]
            asked = ("--port", port, "--path", path, "--connections", _CONNECTIONS, "--for-s", _FOR_S)
            found[target].append(run_program("bench.load", *asked))
    return found


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
