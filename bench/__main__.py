"""`python -m bench [part …]`: measure, print, and compare."""

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import capacity
from bench.append import measure_append
from bench.cluster import measure_cluster
from bench.facade import measure_facade
from bench.growth import measure_growth
from bench.ingest import measure_ingest
from bench.lag import measure_lag
from bench.latency import measure_latency
from bench.machine import Neighbours, machine_facts
from bench.measure import Measure
from bench.memory import measure_memory
from bench.networks.measure import measure_networks
from bench.parked import measure_parked
from bench.parsers import measure_parsers
from bench.polls import measure_polls
from bench.report import Report, read_report
from bench.run import Part, run_parts
from bench.soak import measure_soak
from bench.stack import running_stack, running_valkey
from bench.start import measure_start
from bench.submit_wait import measure_submit_wait

_UNASKED = ("polls", "parked", "latency", "facade", "capacity", "start", "append", "ingest", "memory", "lag", "parsers")
_SOAK_S = 600.0
_PARTS = (*_UNASKED, "submit", "cluster", "networks", "growth", "soak")


def main() -> int:
    """Run the parts that are asked for, or all; the exit status: 0, or 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    asked = f"any of {', '.join(_PARTS)}; without, all but submit, cluster, networks, growth and soak"
    parser.add_argument("parts", nargs="*", metavar="part", help=asked)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with figures written before")
    lasting = f"how long a soak lasts (600), or what is counted of a run of capacity ({capacity.SECONDS:g})"
    parser.add_argument("--seconds", type=_positive, help=lasting)
    parser.add_argument(
        "--jobs", type=_count, nargs="+", metavar="N", default=capacity.JOBS, help="of capacity, at once"
    )
    parser.add_argument(
        "--pairs", type=_count, default=capacity.PAIRS, help="rounds of capacity, of which each has a run"
    )
    another = "a checkout with a .venv, whose processes capacity measures as well; several are fine"
    parser.add_argument("--build", type=_build, action="append", default=[], metavar="PATH", help=another)
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
    neighbours = Neighbours()
    report = Report(machine_facts(), [])

    def keep() -> None:
        report.machine["used by others meanwhile"] = neighbours.share()
        if options.json:
            report.write(options.json)

    try:
        keep()
    except OSError as error:
        parser.error(f"{options.json} cannot be written ({error.strerror})")
    try:
        run_parts({name: part for name, part in _parts(options).items() if name in parts}, report, keep)
    except OSError as error:
        print(f"{options.json} cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        _tell(report, options.against, baseline)
        print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if report.failures else 0


def _positive(text: str) -> float:
    if not 0 < (number := float(text)) < math.inf:
        raise ValueError
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _build(text: str) -> Path:
    if not (Path(text) / ".venv" / "bin" / "python").exists():
        raise argparse.ArgumentTypeError(f"{text} has no .venv: run `make setup` there")
    return Path(text).resolve()


def _parts(options: argparse.Namespace) -> dict[str, Part]:
    """All parts, in the order in which they run."""
    seconds: float | None = options.seconds
    counted = seconds or capacity.SECONDS, options.pairs, options.build
    return {
        "polls": measure_polls,
        "parked": measure_parked,
        "latency": measure_latency,
        "facade": measure_facade,
        "capacity": lambda: capacity.measure_capacity(options.jobs, *counted),
        "start": _start,
        "append": lambda: _on_valkey(measure_append),
        "ingest": lambda: _on_valkey(measure_ingest),
        "memory": measure_memory,
        "lag": measure_lag,
        "parsers": measure_parsers,
        "submit": measure_submit_wait,
        "cluster": measure_cluster,
        "networks": measure_networks,
        "growth": measure_growth,
        "soak": lambda: measure_soak(seconds or _SOAK_S),
    }


def _start() -> Iterator[Measure]:
    with running_stack() as stack:
        yield from measure_start(stack)


def _on_valkey(measure: Callable[[str], Iterator[Measure]]) -> Iterator[Measure]:
    with running_valkey() as redis_url:
        yield from measure(redis_url)


def _tell(report: Report, path: Path | None, baseline: Report | None) -> None:
    print("\n" + "; ".join(f"{name} {fact}" for name, fact in report.machine.items()), end="\n\n")
    print(report.table())
    if baseline:
        print(f"\nagainst {path}:\n\n{report.table_against(baseline)}")


if __name__ == "__main__":
    sys.exit(main())
