"""Parked: what a waiting long poll costs one web process, and how soon one token wakes all of them.

Beside the same polls as plain coroutines, which the long way makes of them; futures that wait under the same ASGI
server; and nchan where it is installed. Polls as browsers send them are beside those of a bearer key. A new process
each time, so that no memory of the run before is reused.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.cores import Cores, pinned, two_cores
from bench.measure import Measure, measured, percentile, take_turns
from bench.peer import running_nchan
from bench.proc import allow_descriptors
from bench.program import run_program
from bench.readers import KEY, READERS, SETTINGS
from bench.stack import running_program, running_stack, temporary_folder

_COUNTS = (1000, 10_000)
_PAIRS = 2
_ROUNDS = 3
_SPARE_DESCRIPTORS = 500
_OURS, _COROUTINES, _BARE, _NCHAN = "ours", "coroutines", "bare", "nchan"
_NAMES = {_COROUTINES: "plain coroutines", _BARE: "futures under uvicorn", _NCHAN: "nchan"}


def measure_parked() -> Iterator[Measure]:
    """Memory each, and the times of waking, for each number of waiting polls that the descriptors allow."""
    most = allow_descriptors()
    cores = two_cores()
    with pinned(cores.load):
        for count in _COUNTS:
            if most < count + _SPARE_DESCRIPTORS:
                print(f"{count} waiting polls need more descriptors than the {most} that are allowed", file=sys.stderr)
                continue
            yield from _measure(count, cores)


def _measure(count: int, cores: Cores) -> list[Measure]:
    readers = READERS if count == _COUNTS[-1] else ()

    def run(who: str) -> dict[str, Any] | None:
        with _running(who, cores) as asked:
            return run_program("bench.parker", **asked, count=count, rounds=_ROUNDS) if asked else None

    found = take_turns((_OURS, *_NAMES, *readers), _PAIRS, run)
    name = f"parked, {count:,} polls"
    measures = []
    beside_others = [(name, _OURS, who, limit_name) for who, limit_name in _NAMES.items()]
    beside_others += [(f"{name} of a {reader}", reader, KEY, KEY) for reader in readers[1:]]
    for what_name, who, limit_who, limit_name in beside_others:
        ours, limit = [run for run in found[who] if run], [run for run in found[limit_who] if run]
        if not limit:
            continue
        measures += [
            measured(f"{what_name}, memory each", "KB", lambda run: run["bytes_each"] / 1024, ours, limit, limit_name),
            measured(f"{what_name}, CPU to park one", "µs", lambda run: run["park_cpu_us"], ours, limit, limit_name),
        ]
        wakes, limit_wakes = ([ns for run in runs for ns in run["wake_ns"]] for runs in (ours, limit))
        for percent, of_all in ((50, "p50"), (99, "p99"), (100, "all")):
            awake = f"{what_name}, awake, {of_all}"
            awake_ms, limit_ms = ([percentile(ns, percent) / 1e6 for ns in each] for each in (wakes, limit_wakes))
            measures.append(Measure(awake, "ms", awake_ms, limit_ms, limit_name))
        costs, limit_costs = ([us for run in runs for us in run["wake_cpu_us"]] for runs in (ours, limit))
        measures.append(Measure(f"{what_name}, CPU to wake one", "µs", costs, limit_costs, limit_name))
    return measures


@contextmanager
def _running(who: str, cores: Cores) -> Iterator[dict[str, object] | None]:
    """What the parker needs of a server that runs; None where it is not installed."""
    with ExitStack() as parts:
        if who in {_OURS, _COROUTINES, *READERS}:
            settings = SETTINGS if who in READERS else None
            stack = parts.enter_context(running_stack(web_core=cores.server, settings=settings))
            asked = {"port": stack.web_port, "pid": stack.pids["web"], "upstream_port": stack.upstream_port}
            yield {"who": who, **asked} if settings is None else {"who": _OURS, **asked, "reader": who}
            return
        folder = parts.enter_context(temporary_folder())
        with pinned(cores.server):
            if who == _NCHAN:
                peer = parts.enter_context(running_nchan(folder, [], []))
                port, pid = (peer.port, peer.pid) if peer else (0, 0)
            else:
                port, pid = parts.enter_context(running_program("bare_web", folder))
        yield {"who": who, "port": port, "pid": pid} if pid else None
