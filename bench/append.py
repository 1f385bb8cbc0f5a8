"""Append: tokens a second through a worker's writing end, beside bare pipelines of RPUSH of the same bytes."""

from collections.abc import Callable, Iterator
from typing import Any

from bench.measure import Measure, measured, per, ratio
from bench.program import run_program
from bench.stack import TOKENS_PER_S

_PAIRS = 4
_TOKENS = {1: 40_000, 50: 60_000, 200: 60_000}  # jobs → tokens of all of them together, as fast as it goes
_PACED_JOBS = 200
_PACED_S = 2
_BARE = "redis-py, pipelines of RPUSH"


def measure_append(redis_url: str) -> Iterator[Measure]:
    """Tokens a second as fast as it goes; then, at a model's pace, what each token costs its process."""
    for jobs, tokens in _TOKENS.items():
        name = f"append, {jobs} {'job' if jobs == 1 else 'jobs'}"
        found = _run(redis_url, jobs, tokens)
        yield _beside_bare(name, "tokens/s", per("tokens", "wall_s"), found)
        yield from _costs(name, found)
    tokens = int(_PACED_JOBS * TOKENS_PER_S * _PACED_S)
    found = _run(redis_url, _PACED_JOBS, tokens, tokens_per_s=TOKENS_PER_S)
    yield from _costs(f"append, {_PACED_JOBS} jobs of {TOKENS_PER_S:g} tokens/s", found)


def _run(redis_url: str, jobs: int, tokens: int, **more: object) -> dict[str, Any]:
    return run_program("bench.appender", redis_url=redis_url, pairs=_PAIRS, jobs=jobs, tokens=tokens, **more)


def _beside_bare(name: str, unit: str, of: Callable[[Any], float], found: dict[str, Any]) -> Measure:
    return measured(name, unit, of, found["ours"], found["bare"], _BARE)


def _costs(name: str, found: dict[str, Any]) -> list[Measure]:
    turns = 1e6 * ratio(found["turns_cpu_s"], found["ours"][0]["tokens"])
    return [
        _beside_bare(f"{name}, client CPU a token", "µs", per("cpu_s", "tokens", 1e6), found),
        Measure(f"{name}, of it the benchmark's own", "µs", [turns]),
        measured(f"{name}, round trips a token", "", per("round_trips", "tokens"), found["ours"]),
    ]
