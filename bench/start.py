"""Start: from a job's submission to its start and first token, beside RQ's own workers on the same Valkey.

Ours is measured by HTTP, as a client submits, and by the queue alone, as RQ's workers are: like beside like.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rq import Worker

from bench.measure import Measure, percentile
from bench.program import run_program
from bench.stack import Stack
from tokentail.redis.client import RedisClient, connect
from tokentail.supervisor.child import start_child, stop_child

_ROUNDS = 3
_AT_REST = 30  # jobs, one after another
_PACED, _PER_S = 150, 100  # jobs, and how many a second
_BURST = 200  # jobs, submitted as fast as it goes
_PEERS = {"simple": "RQ's SimpleWorker", "forking": "RQ's Worker, forking"}
_READY_S = 15.0
_GRACE_S = 5.0
_LOOK_AGAIN_S = 0.05

Found = dict[str, list[dict[str, Any]]]  # by whom → a run each round


def measure_start(stack: Stack) -> Iterator[Measure]:
    """p50 and p99 in ms, at rest and under load; then how many jobs begin in a second."""
    with _running_peers(stack.redis_url):
        yield from _latencies("start, at rest", _take_turns(stack, _AT_REST, 0))
        yield from _latencies(f"start, {_PER_S} jobs/s", _take_turns(stack, _PACED, _PER_S))
        burst = _take_turns(stack, _BURST, _BURST * 10)
    rates = {by: [run["starts_per_s"] for run in runs] for by, runs in burst.items()}
    for peer, name in _PEERS.items():
        yield Measure(f"start, a burst of {_BURST}, queue alone", "jobs/s", rates["queue"], rates[peer], name)
    yield Measure(f"start, a burst of {_BURST} by HTTP", "jobs/s", rates["http"])


def _latencies(name: str, found: Found) -> list[Measure]:
    def figures(by: str, what: str, percent: float) -> list[float]:
        return [percentile(run[what], percent) for run in found[by]]

    measures = []
    for percent in (50, 99):
        measures += [
            Measure(
                f"{name}, enqueue to start, p{percent}",
                "ms",
                figures("queue", "start_ms", percent),
                figures(peer, "start_ms", percent),
                limit_name,
            )
            for peer, limit_name in _PEERS.items()
        ]
        measures += [
            Measure(f"{name}, submit by HTTP to {words}, p{percent}", "ms", figures("http", what, percent))
            for what, words in (("start_ms", "start"), ("first_token_ms", "first token"))
        ]
    return measures


def _take_turns(stack: Stack, jobs: int, per_s: int) -> Found:
    found: Found = {by: [] for by in ("http", "queue", *_PEERS)}
    sizes = ("--redis-url", stack.redis_url, "--web-port", stack.web_port, "--jobs", jobs, "--per-s", per_s)
    for i in range(_ROUNDS):
        for by in list(found)[:: -1 if i % 2 else 1]:
            found[by].append(run_program("bench.starter", by, *sizes))
    return found


@contextmanager
def _running_peers(redis_url: str) -> Iterator[None]:
    client = connect(redis_url, timeout_s=_GRACE_S)
    with ExitStack() as parts:
        logs = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="tt-bench-", dir="/tmp")))
        for peer in _PEERS:
            argv = [sys.executable, "-m", "bench.rq_peer", peer, "--redis-url", redis_url]
            with (logs / peer).open("wb") as output:
                child = start_child(argv, {"PYTHONPATH": str(Path(__file__).parent.parent)}, output=output, cwd=logs)
            parts.callback(stop_child, child, _GRACE_S)
            _wait_for_worker(client, peer)
        yield


def _wait_for_worker(client: RedisClient, name: str) -> None:
    deadline = time.monotonic() + _READY_S
    while not any(worker.name == name for worker in Worker.all(connection=client)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"RQ's {name} worker did not start")
        time.sleep(_LOOK_AGAIN_S)
