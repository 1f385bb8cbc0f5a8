"""`python -m bench [part …]`: measure, print, and compare."""

import argparse
import signal
import sys
import time
from pathlib import Path

from bench.append import measure_append
from bench.ingest import measure_ingest
from bench.latency import measure_latency
from bench.machine import Neighbours, machine_facts
from bench.measure import Measure
from bench.parked import measure_parked
from bench.polls import measure_polls
from bench.report import Report, read_report
from bench.soak import measure_soak
from bench.stack import running_stack, running_valkey
from bench.start import measure_start
from tokentail.errors import TokentailError

_UNASKED = ("polls", "parked", "latency", "start", "append", "ingest")
_PARTS = (*_UNASKED, "soak")


def main() -> int:
    """Run the parts that are asked for, or all; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(_PARTS)}; without, all but soak")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with figures written before")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long a soak lasts")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(_PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(_PARTS)}")
    parts = options.parts or [*_UNASKED]
    try:
        baseline = read_report(options.against) if options.against else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{options.against} cannot be read ({type(error).__name__})")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that blocks end and stop their parts
    began = time.monotonic()
    try:
        neighbours = Neighbours()
        measures = _measure(parts, options.seconds)
        report = Report({**machine_facts(), "used by others meanwhile": neighbours.share()}, measures)
    except (RuntimeError, OSError, TokentailError) as error:
        print(f"the benchmarks failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print("; ".join(f"{name} {fact}" for name, fact in report.machine.items()), end="\n\n")
    print(report.table())
    if options.json:
        report.write(options.json)
    if baseline:
        print(f"\nagainst {options.against}:\n\n{report.table_against(baseline)}")
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


def _measure(parts: list[str], soak_s: float) -> list[Measure]:
    measures: list[Measure] = []
    if "polls" in parts:
        _tell("polls")
        measures += measure_polls()
    if "parked" in parts:
        _tell("parked")
        measures += measure_parked()
    if "latency" in parts:
        _tell("latency")
        measures += measure_latency()
    if "start" in parts:
        with running_stack() as stack:
            _tell("start")
            measures += measure_start(stack)
    if "append" in parts:
        with running_valkey() as redis_url:
            _tell("append")
            measures += measure_append(redis_url)
    if "ingest" in parts:
        with running_valkey() as redis_url:
            _tell("ingest")
            measures += measure_ingest(redis_url)
    if "soak" in parts:
        _tell("soak")
        measures += measure_soak(soak_s)
    return measures


def _tell(part: str) -> None:
    print(f"measuring {part} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
