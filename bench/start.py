"""Start: from a job's submission to its start and first token, beside RQ's own workers on the same Valkey.

Ours is measured by HTTP, as a client submits, and by the queue alone, as RQ's workers are: like beside like.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from rq import Worker

from bench.measure import Measure, measured, percentile, take_turns
from bench.proc import cpu_s
from bench.program import program, run_program
from bench.stack import Stack, part_environment, started_part
from tokentail.redis.client import connect

_ROUNDS = 3
_AT_REST = 30  # jobs, one after another
_PACED, _PER_S = 150, 100  # jobs, and how many a second
_BURST = 200  # jobs, submitted as fast as it goes
_PEERS = {"simple": "RQ's SimpleWorker", "forking": "RQ's Worker, forking"}
_TIMEOUT_S = 5.0

Found = dict[str, list[dict[str, Any]]]  # by whom → a run each round


def measure_start(stack: Stack) -> Iterator[Measure]:
    """p50 and p99 in ms, at rest and under load; then how many jobs begin in a second."""
    with _running_peers(stack) as peers:
        pids = peers | dict.fromkeys(("http", "queue"), stack.pids["worker"])
        yield from _latencies("start, at rest", _take_turns(stack, _AT_REST, 0))
        yield from _latencies(f"start, {_PER_S} jobs/s", _take_turns(stack, _PACED, _PER_S))
        burst = _take_turns(stack, _BURST, _BURST * 10, pids)
    rates = {by: [run["starts_per_s"] for run in runs] for by, runs in burst.items()}
    for peer, name in _PEERS.items():
        yield Measure(f"start, a burst of {_BURST}, queue alone", "jobs/s", rates["queue"], rates[peer], name)
    yield Measure(f"start, a burst of {_BURST} by HTTP", "jobs/s", rates["http"])

    def cpu_ms(run: Any) -> float:
        return 1000 * float(run["worker_cpu_s"]) / _BURST

    # The processes of the peer that forks are gone by now, and their CPU with them.
    name = f"start, a burst of {_BURST}, queue alone, CPU of the worker a job"
    yield measured(name, "ms", cpu_ms, burst["queue"], burst["simple"], _PEERS["simple"])
    yield measured(f"start, a burst of {_BURST} by HTTP, CPU of the worker a job", "ms", cpu_ms, burst["http"])


def _latencies(name: str, found: Found) -> Iterator[Measure]:
    for percent in (50, 99):

        def of(what: str, percent: float = percent) -> Callable[[Any], float]:
            return lambda run: percentile(run[what], percent)

        for peer, limit_name in _PEERS.items():
            what = f"{name}, enqueue to start, p{percent}"
            yield measured(what, "ms", of("start_ms"), found["queue"], found[peer], limit_name)
        for figure, words in (("start_ms", "start"), ("first_token_ms", "first token")):
            yield measured(f"{name}, submit by HTTP to {words}, p{percent}", "ms", of(figure), found["http"])


def _take_turns(stack: Stack, jobs: int, per_s: int, pids: Mapping[str, int] | None = None) -> Found:
    """The runs; of the workers whose `pids` are known also the CPU that each run took."""
    asked = {"redis_url": stack.redis_url, "web_port": stack.web_port, "jobs": jobs, "per_s": per_s}

    def run(by: str) -> dict[str, Any]:
        before = cpu_s(pids[by]) if pids else 0.0
        found = run_program("bench.starter", by=by, **asked)
        return found | ({"worker_cpu_s": cpu_s(pids[by]) - before} if pids else {})

    return take_turns(("http", "queue", *_PEERS), _ROUNDS, run)


@contextmanager
def _running_peers(stack: Stack) -> Iterator[dict[str, int]]:
    """RQ's own workers run meanwhile; the pid of each, by its name."""
    with closing(connect(stack.redis_url, timeout_s=_TIMEOUT_S)) as client, ExitStack() as parts:
        pids: dict[str, int] = {}
        for peer in _PEERS:
            argv = program("bench.rq_peer", name=peer, redis_url=stack.redis_url)

            def is_ready(name: str = peer) -> bool:
                return any(worker.name == name for worker in Worker.all(connection=client))

            part = started_part(peer, argv, part_environment(), stack.folder, is_ready)
            pids[peer] = parts.enter_context(part).pid
        yield pids
