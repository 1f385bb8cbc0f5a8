"""Capacity: how many jobs at a model's pace keep up on this machine, and what a token costs each process.

Everything shares all cores: the upstream, a whole Tokentail and its followers. Beside it, in turns, the pass-through
before the same kind of upstream; and other builds, each a checkout with a `.venv`, under the same upstream and
followers. Each run has new processes, so that no run pays for the jobs of the one before.

Counted is a window of some seconds in which all streams run; the starts of the jobs are not in it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import redis

from bench.latency import PASS_THROUGH
from bench.measure import Measure, latency_ms, measured, percentile, ratio, take_turns
from bench.proc import allow_descriptors
from bench.program import run_program
from bench.stack import THIS_BUILD, running_pass_through, running_stack, running_upstream, temporary_folder

JOBS = (1, 50, 100, 150, 200, 300, 400)
SECONDS = 5.0
PAIRS = 2
_TOKENS_PER_S = 50.0
_LONG_POLLS = 100  # jobs, which are followed by long polls, too
_WARM_UP = {"streams": 10, "tokens": 25}
_STARTS_PER_S = 60  # at least, of so many jobs at once; until all have started, none may end
_KEEPS_UP = 0.97  # of the tokens that were due in the window
_KNEE_P99_MS = 100.0
_PARTS = ("worker", "web", "valkey")
_PASSED = "pass-through"


@dataclass(frozen=True)
class _Way:
    """How followers get their tokens, and from what."""

    name: str
    by: str
    build: Path | None = None  # None: the pass-through


def measure_capacity(
    jobs: Sequence[int] = JOBS, seconds: float = SECONDS, pairs: int = PAIRS, builds: Sequence[Path] = ()
) -> Iterator[Measure]:
    """Latency, tokens and CPU for each number of jobs, of each build; then how many jobs each keeps up with."""
    allow_descriptors()
    names = {THIS_BUILD: "", **{build: f" of {build.name}" for build in builds}}
    passed = _Way(_PASSED, "passed")
    streamed = [_Way(f"SSE{name}", "sse", build) for build, name in names.items()]
    polled = [_Way(f"long poll{name}", "long", build) for build, name in names.items()]
    runs: dict[str, dict[int, list[Any]]] = {way.name: {} for way in (passed, *streamed)}
    for count in jobs:
        ways = [*streamed, *(polled if count == _LONG_POLLS else ())]
        found = take_turns((passed, *ways), pairs, _asker(count, seconds))
        for way in (passed, *streamed):
            runs[way.name][count] = found[way]
        for way in ways:
            yield from _figures(f"{_named(count)}, {way.name}", found[way], found[passed])
        for first in (streamed[0], polled[0]):
            for other in ways:
                if other.by == first.by and other is not first:
                    name = f"{_named(count)}, {first.name}"
                    yield from _compared(name, found[first], found[other], other.name, "ratio")
    for way in streamed:
        most, limit = [knee(runs[way.name])], [knee(runs[_PASSED])]
        yield Measure(f"capacity, the most of these jobs that keep up, {way.name}", "jobs", most, limit, PASS_THROUGH)


def _named(count: int) -> str:
    return f"capacity, {count} {'job' if count == 1 else 'jobs'}"


def _asker(jobs: int, seconds: float) -> Callable[[_Way], dict[str, Any]]:
    tokens = round(_TOKENS_PER_S * (1 + seconds + 1 + jobs / _STARTS_PER_S))
    slots = {"TOKENTAIL_WORKER_CONCURRENCY": str(2 * jobs + 10)}

    def run(way: _Way) -> dict[str, Any]:
        with ExitStack() as parts:
            if way.build is None:
                folder, pids = parts.enter_context(temporary_folder()), dict[str, int]()
                upstream = parts.enter_context(running_upstream(_TOKENS_PER_S, folder, pids))
                port, pids[_PASSED] = parts.enter_context(running_pass_through(upstream, 2 * jobs + 10, folder))
            else:
                stack = running_stack(tokens_per_s=_TOKENS_PER_S, settings=slots, build=way.build)
                port, pids = (found := parts.enter_context(stack)).web_port, found.pids
            asked = {"by": way.by, "port": port, "pids": pids}
            run_program("bench.followers", **asked, **_WARM_UP)
            store = None if way.build is None else parts.enter_context(redis.Redis.from_url(found.redis_url))
            before = _store_bytes(store)
            run = run_program("bench.followers", **asked, streams=jobs, tokens=tokens, window_s=seconds)
            return run | {name: size - before[name] for name, size in _store_bytes(store).items()}

    return run


def _store_bytes(store: redis.Redis | None) -> dict[str, int]:
    """What was sent to Valkey and by it, and what its append-only file has."""
    if store is None:
        return {}
    stats = store.info("stats")
    written = store.info("persistence")["aof_current_size"]
    return {"to": stats["total_net_input_bytes"], "from": stats["total_net_output_bytes"], "file": written}


def _figures(name: str, ours: list[Any], passed: list[Any]) -> Iterator[Measure]:
    yield from _compared(name, ours, passed, PASS_THROUGH, "difference")
    yield measured(f"{name}, of the tokens that were due", "%", _kept_up, ours, passed, PASS_THROUGH)
    for part in _PARTS:
        yield measured(f"{name}, CPU of {part}", "% of a core", _share([part]), ours)
    for wire, words in (("to", "bytes to valkey"), ("from", "bytes from valkey"), ("file", "bytes to its file")):
        yield Measure(f"{name}, {words} a token", "B", [ratio(run[wire], run["tokens"]) for run in ours])
    measuring = ["upstream", "followers"]
    yield measured(f"{name}, CPU of the benchmark", "% of a core", _share(measuring), ours, passed, PASS_THROUGH)


def _compared(name: str, ours: list[Any], limit: list[Any], limit_name: str, by: Any) -> Iterator[Measure]:
    for percent in (50, 99):
        yield measured(f"{name}, p{percent}", "ms", latency_ms(percent), ours, limit, limit_name, by)
    yield measured(f"{name}, CPU of all", "% of a core", _share([*_PARTS, _PASSED]), ours, limit, limit_name)
    yield measured(f"{name}, CPU a token", "µs", _token_us, ours, limit, limit_name)


def _share(parts: Sequence[str]) -> Callable[[Any], float]:
    def share(run: Any) -> float:
        steady = run["steady"] or {"cpu_s": {}, "at_s": None}
        return 100 * ratio(sum(steady["cpu_s"].get(part, 0.0) for part in parts), steady["at_s"])

    return share


def _token_us(run: Any) -> float:
    steady = run["steady"] or {"at_s": None, "tokens": None}
    return 1e4 * ratio(_share([*_PARTS, _PASSED])(run), ratio(steady["tokens"], steady["at_s"]))


def _kept_up(run: Any) -> float:
    steady = run["steady"] or {"at_s": None, "tokens": None}
    return 100 * ratio(ratio(steady["tokens"], steady["at_s"]), run["streams"] * _TOKENS_PER_S)


def knee(runs: dict[int, list[Any]]) -> float:
    """The most jobs that got their tokens when they were due, by the medians of the runs; 0 where none did."""

    def keeps_up(found: list[Any]) -> bool:
        p99_ms = median(percentile(run["latencies_ns"], 99) / 1e6 for run in found)
        return p99_ms < _KNEE_P99_MS and median(map(_kept_up, found)) >= 100 * _KEEPS_UP

    return float(max((count for count, found in runs.items() if keeps_up(found)), default=0))
