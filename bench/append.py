"""Append: tokens a second through a worker's writing end, beside bare pipelines of RPUSH of the same bytes."""

from collections.abc import Iterator
from typing import Any

from bench.measure import Measure, ratio
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
        ours, bare = ([ratio(run["tokens"], run["wall_s"]) for run in found[by]] for by in ("ours", "bare"))
        yield Measure(name, "tokens/s", ours, bare, _BARE)
        yield from _costs(name, found)
    tokens = int(_PACED_JOBS * TOKENS_PER_S * _PACED_S)
    found = _run(redis_url, _PACED_JOBS, tokens, "--tokens-per-s", TOKENS_PER_S)
    yield from _costs(f"append, {_PACED_JOBS} jobs of {TOKENS_PER_S:g} tokens/s", found)


def _run(redis_url: str, jobs: int, tokens: int, *more: object) -> dict[str, Any]:
    asked = ("--redis-url", redis_url, "--pairs", _PAIRS, "--jobs", jobs, "--tokens", tokens)
    return run_program("bench.appender", *asked, *more)


def _costs(name: str, found: dict[str, Any]) -> list[Measure]:
    ours, bare = ([1e6 * ratio(run["cpu_s"], run["tokens"]) for run in found[by]] for by in ("ours", "bare"))
    turns = 1e6 * ratio(found["turns_cpu_s"], found["ours"][0]["tokens"])
    trips = [ratio(run["round_trips"], run["tokens"]) for run in found["ours"]]
    return [
        Measure(f"{name}, client CPU a token", "µs", ours, bare, _BARE),
        Measure(f"{name}, of it the benchmark's own", "µs", [turns]),
        Measure(f"{name}, round trips a token", "", trips),
    ]
