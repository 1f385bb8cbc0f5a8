"""The run: part by part, and what one part could not measure costs the others nothing."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from bench.measure import Measure
from bench.report import Report, line

Part = Callable[[], Iterator[Measure]]  # measures when it is asked for the next figure


def run_parts(parts: Mapping[str, Part], report: Report, keep: Callable[[], None]) -> None:
    """Measure into the report; each figure is printed and kept as it comes.

    A part that fails is named in the report, with the reason. Ctrl-C and SIGTERM end the run by their exceptions; the
    parts that they leave without all of their figures are named as well.
    """
    left = dict.fromkeys(parts, "interrupted")
    try:
        for name, part in parts.items():
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            try:
                _run(part, report, keep)
            except Exception as error:
                report.failures[name] = f"{type(error).__name__}: {error}"
                print(f"{name} failed: {report.failures[name]}", file=sys.stderr, flush=True)
            del left[name]
    finally:
        report.failures.update(left)
        keep()


def _run(part: Part, report: Report, keep: Callable[[], None]) -> None:
    with closing(part()) as measures:  # type: ignore[type-var]
        for measure in measures:
            report.measures.append(measure)
            print(line(measure), flush=True)
            keep()
