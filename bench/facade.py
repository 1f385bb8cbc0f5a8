"""Facade: what a token costs through OpenAI's interfaces, beside our own `/stream` and beside LiteLLM's proxy.

All take turns in front of the same upstream. LiteLLM is measured where `bench/peers/litellm` is a virtual environment
with it; docs/performance.md says how to make one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Measure, percentile, ratio
from bench.program import run_program
from bench.stack import Stack, free_ports, listens, part_environment, running_stack, started_part

_STREAMS, _TOKENS, _TOKENS_PER_S = 50, 250, 50.0
_ROUNDS = 2
_OWN, _PEER = "our own /stream", "LiteLLM's proxy"
_NAMES = {"chat": "Chat Completions", "responses": "Responses"}
_LITELLM = Path(__file__).parent / "peers" / "litellm" / "bin" / "litellm"
_START_S = 90.0

Runs = list[dict[str, Any]]


def measure_facade() -> Iterator[Measure]:
    """CPU of the web process a token; CPU of all our processes a token, and p99, beside the peer's."""
    with running_stack(tokens_per_s=_TOKENS_PER_S) as stack, _running_litellm(stack) as (port, pids):
        ways = {"sse": stack.web_port, **dict.fromkeys(_NAMES, stack.web_port), **({"peer": port} if pids else {})}
        found: dict[str, Runs] = {by: [] for by in ways}
        named = [f"--pid={name}={pid}" for name, pid in {**stack.pids, **pids}.items()]
        for i in range(_ROUNDS):
            for by in list(ways)[:: -1 if i % 2 else 1]:
                sizes = ("--streams", _STREAMS, "--tokens", _TOKENS)
                found[by].append(run_program("bench.followers", by, "--port", ways[by], *sizes, *named))
    for by, name in _NAMES.items():
        ours, own = (_cpu_us(found[which], "web") for which in (by, "sse"))
        yield Measure(f"facade, {_STREAMS} jobs, {name}, CPU of web a token", "µs", ours, own, _OWN)
    for by, name in {**_NAMES, "sse": _OWN}.items():
        peer = found.get("peer", [])
        what, limit_name = f"facade, {_STREAMS} jobs, {name}", _PEER if peer else ""
        ours = _cpu_us(found[by], "worker", "web", "valkey")
        yield Measure(f"{what}, CPU of all a token", "µs", ours, _cpu_us(peer, "peer"), limit_name)
        for percent in (50, 99):
            mine, theirs = (
                [percentile(run["latencies_ns"], percent) / 1e6 for run in runs] for runs in (found[by], peer)
            )
            yield Measure(f"{what}, p{percent}", "ms", mine, theirs, limit_name)


def _cpu_us(runs: Runs, *parts: str) -> list[float]:
    return [1e6 * ratio(sum(run["cpu_s"][part] for part in parts), run["tokens"]) for run in runs]


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
    argv = [
        str(_LITELLM),
        "--config",
        str(settings),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--telemetry",
        "False",
    ]
    environment = part_environment(
        LITELLM_LOCAL_MODEL_COST_MAP="True",  # it would fetch prices
        LITELLM_LOG="ERROR",
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",  # as our server has no keys here
    )
    with started_part("litellm", argv, environment, stack.folder, lambda: listens(port), _START_S) as child:
        yield port, {"peer": child.pid}
