"""Parked: what a waiting long poll costs one web process, and how soon one token wakes all of them.

Beside the same polls as plain coroutines, which the long way makes of them; futures that wait under the same ASGI
server; and nchan where it is installed. Polls as browsers send them are beside those of a bearer key. A new process
each time, so that no memory of the run before is reused.
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.cores import Cores, pinned, two_cores
from bench.measure import Measure, percentile
from bench.peer import running_nchan
from bench.program import run_program
from bench.readers import KEY, READERS, SETTINGS
from bench.stack import free_ports, listens, part_environment, running_stack, started_part, temporary_folder

_COUNTS = (1000, 10_000)
_PAIRS = 2
_ROUNDS = 3
_SPARE_DESCRIPTORS = 500
_OURS, _COROUTINES, _BARE, _NCHAN = "ours", "coroutines", "bare", "nchan"
_NAMES = {_COROUTINES: "plain coroutines", _BARE: "futures under uvicorn", _NCHAN: "nchan"}


def measure_parked() -> Iterator[Measure]:
    """Memory each, and the times of waking, for each number of waiting polls that the descriptors allow."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    cores = two_cores()
    with pinned(cores.load):
        for count in _COUNTS:
            if most < count + _SPARE_DESCRIPTORS:
                print(f"{count} waiting polls need more descriptors than the {most} that are allowed", file=sys.stderr)
                continue
            yield from _measure(count, cores)


def _measure(count: int, cores: Cores) -> list[Measure]:
    readers = READERS if count == _COUNTS[-1] else ()
    found: dict[str, list[dict[str, Any]]] = {who: [] for who in (_OURS, *_NAMES, *readers)}
    for i in range(_PAIRS):
        for who in list(found)[:: -1 if i % 2 else 1]:
            with _running(who, cores) as asked:
                if asked:
                    found[who].append(run_program("bench.parker", *asked, "--count", count, "--rounds", _ROUNDS))
    name = f"parked, {count:,} polls"
    measures = []
    beside_others = [(name, _OURS, who, limit_name) for who, limit_name in _NAMES.items()]
    beside_others += [(f"{name} of a {reader}", reader, KEY, KEY) for reader in readers[1:]]
    for what_name, who, limit_who, limit_name in beside_others:
        ours, limit = found[who], found[limit_who]
        if not limit:
            continue

        def beside(
            what: str,
            unit: str,
            of: Any,
            name: str = what_name,
            ours: Any = ours,
            limit: Any = limit,
            limit_name: str = limit_name,
        ) -> None:
            of_ours, of_limit = ([value for run in runs for value in of(run)] for runs in (ours, limit))
            measures.append(Measure(f"{name}, {what}", unit, of_ours, of_limit, limit_name))

        beside("memory each", "KB", lambda run: [run["bytes_each"] / 1024])
        beside("CPU to park one", "µs", lambda run: [run["park_cpu_us"]])
        for percent, of_all in ((50, "p50"), (99, "p99"), (100, "all")):
            beside(f"awake, {of_all}", "ms", lambda run, p=percent: [percentile(ns, p) / 1e6 for ns in run["wake_ns"]])
        beside("CPU to wake one", "µs", lambda run: run["wake_cpu_us"])
    return measures


@contextmanager
def _running(who: str, cores: Cores) -> Iterator[tuple[object, ...] | None]:
    """What the parker is told of a server that runs; None where it is not installed."""
    with ExitStack() as parts:
        if who in {_OURS, _COROUTINES, *READERS}:
            settings = SETTINGS if who in READERS else None
            stack = parts.enter_context(running_stack(web_core=cores.server, settings=settings))
            asked = ("--port", stack.web_port, "--pid", stack.pids["web"], "--upstream-port", stack.upstream_port)
            yield (who, *asked) if settings is None else (_OURS, *asked, "--reader", who)
            return
        folder = parts.enter_context(temporary_folder())
        with pinned(cores.server):
            if who == _NCHAN:
                peer = parts.enter_context(running_nchan(folder, [], []))
                port, pid = (peer.port, peer.pid) if peer else (0, 0)
            else:
                (port,) = free_ports(1)
                argv = [sys.executable, "-m", "bench.bare_web", "--port", str(port)]
                part = started_part("bare_web", argv, part_environment(), folder, lambda: listens(port))
                pid = parts.enter_context(part).pid
        yield (who, "--port", port, "--pid", pid) if pid else None
