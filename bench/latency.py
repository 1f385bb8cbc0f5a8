"""Latency: from the provider's byte to the client's token, by long poll, beside reading the provider directly.

Pairs alternate in order, so that a machine that changes its pace favours neither.
"""

from typing import Any

from bench.measure import Measure, percentile
from bench.program import run_program
from bench.stack import TOKENS_PER_S, Stack

_WARM_UP = int(TOKENS_PER_S)  # a second
_MEASURED = {1: 80, 50: 60}  # streams at once → tokens of each that count
_PAIRS = {1: 4, 50: 4}
_DIRECTLY = "requests + read1 on the same upstream"


def measure_latency(stack: Stack) -> list[Measure]:
    """p50 and p99 in ms for one job and for many, with what the readers themselves cost."""
    return [measure for streams in _MEASURED for measure in _measure(stack, streams)]


def _measure(stack: Stack, streams: int) -> list[Measure]:
    found: dict[str, list[dict[str, Any]]] = {"polls": [], "direct": []}
    ports = {"polls": stack.web_port, "direct": stack.upstream_port}
    for i in range(_PAIRS[streams]):
        for by in ("polls", "direct") if i % 2 else ("direct", "polls"):
            tokens = _WARM_UP + _MEASURED[streams]
            sizes = ("--streams", streams, "--tokens", tokens, "--warm-up", _WARM_UP)
            found[by].append(run_program("bench.readers", by, "--port", ports[by], *sizes))
    polls, direct = found["polls"], found["direct"]
    name = f"latency, {streams} {'job' if streams == 1 else 'jobs'}"
    measures = [
        Measure(
            f"{name}, p{percent}",
            "ms",
            [_percentile_ms(reading, percent) for reading in polls],
            [_percentile_ms(reading, percent) for reading in direct],
            _DIRECTLY,
            "difference",
        )
        for percent in (50, 99)
    ]
    measures.append(Measure(f"{name}, tokens a poll", "", [_ratio(r, "tokens", "answers") for r in polls]))
    polling, reading = ([100 * _ratio(r, "cpu_s", "wall_s") for r in readings] for readings in (polls, direct))
    measures.append(Measure(f"{name}, the reading process", "% of a core", polling, reading, _DIRECTLY))
    return measures


def _percentile_ms(reading: dict[str, Any], percent: float) -> float:
    return percentile(reading["latencies_ns"], percent) / 1e6


def _ratio(reading: dict[str, Any], above: str, below: str) -> float:
    return float(reading[above] / reading[below])
