"""Facade: what a token costs through OpenAI's interfaces, beside our own `/stream` and beside LiteLLM's proxy.

All take turns in front of the same upstream. LiteLLM is measured where `bench/peers/litellm` is a virtual environment
with it; docs/performance.md says how to make one.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Measure, latencies, measured, ratio, take_turns
from bench.program import run_program
from bench.stack import Stack, running_stack, started_server
from tests.free_ports import free_ports

_STREAMS, _TOKENS, _TOKENS_PER_S = 50, 250, 50.0
_ROUNDS = 2
_OWN, _PEER = "our own /stream", "LiteLLM's proxy"
_NAMES = {"chat": "Chat Completions", "responses": "Responses"}
_LITELLM = Path(__file__).parent / "peers" / "litellm" / "bin" / "litellm"
_START_S = 90.0

_ALL = ("worker", "web", "valkey")


def measure_facade() -> Iterator[Measure]:
    """CPU of the web process a token; CPU of all our processes a token, and p99, beside the peer's."""
    with running_stack(tokens_per_s=_TOKENS_PER_S) as stack, _running_litellm(stack) as (port, pids):
        ways = {"sse": stack.web_port, **dict.fromkeys(_NAMES, stack.web_port), **({"peer": port} if pids else {})}
        asked = {"streams": _STREAMS, "tokens": _TOKENS, "pids": {**stack.pids, **pids}}
        found = take_turns(ways, _ROUNDS, lambda by: run_program("bench.followers", by=by, port=ways[by], **asked))
    for by, name in _NAMES.items():
        what = f"facade, {_STREAMS} jobs, {name}, CPU of web a token"
        yield measured(what, "µs", _cpu_us("web"), found[by], found["sse"], _OWN)
    for by, name in {**_NAMES, "sse": _OWN}.items():
        peer = found.get("peer", [])
        what, limit_name = f"facade, {_STREAMS} jobs, {name}", _PEER if peer else ""
        ours, theirs = (list(map(_cpu_us(*parts), runs)) for parts, runs in ((_ALL, found[by]), (("peer",), peer)))
        yield Measure(f"{what}, CPU of all a token", "µs", ours, theirs, limit_name)
        yield from latencies(what, found[by], peer, limit_name, "ratio")


def _cpu_us(*parts: str) -> Callable[[Any], float]:
    return lambda run: 1e6 * ratio(sum(run["cpu_s"][part] for part in parts), run["tokens"])


@contextmanager
def _running_litellm(stack: Stack) -> Iterator[tuple[int, dict[str, int]]]:
    """LiteLLM's port and process; no process where LiteLLM is not installed."""
    if not _LITELLM.exists():
        print("no LiteLLM here (docs/performance.md)", file=sys.stderr)
        yield 0, {}
        return
    (port,) = free_ports(1)
    settings = stack.folder / "litellm.yaml"
    settings.write_text(
        "model_list: [{model_name: bench, litellm_params: {model: openai/bench, api_key: none, "
        f"api_base: 'http://127.0.0.1:{stack.upstream_port}/v1'}}}}]\n"
    )
    argv = [str(_LITELLM), "--config", str(settings), "--port", str(port), "--host", "127.0.0.1"]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch prices
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # as our server has no keys here
    }
    argv += ["--telemetry", "False"]
    with started_server("litellm", argv, port, stack.folder, _START_S, **environment) as child:
        yield port, {"peer": child.pid}
