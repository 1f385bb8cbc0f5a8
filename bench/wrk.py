"""The load on one address: by `wrk` where it is installed, else by our own program (`bench/load.py`).

Both keep connections open and have one request under way on each. Peers' chunked answers need wrk.
"""

import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.cores import pinned
from bench.measure import ratio
from bench.program import run_program

_LONGEST_S = 30.0
_ANSWERS = re.compile(r"(\d+) requests in ([\d.]+)(ms|s)")
_FAULTS = re.compile(r"Non-2xx or 3xx responses|Socket errors: connect \d+, read \d+, write \d+, timeout \d+")


@dataclass(frozen=True)
class Pressed:
    """What came of it."""

    answers: int
    wall_s: float
    load_cpu_s: float
    server_cpu_s: float

    @property
    def per_s(self) -> float:
        return ratio(self.answers, self.wall_s)

    @property
    def server_us(self) -> float:
        """CPU of the server for each answer, µs."""
        return 1e6 * ratio(self.server_cpu_s, self.answers)


def has_wrk() -> bool:
    """Whether `wrk` is on this machine."""
    return shutil.which("wrk") is not None


def press(
    port: int,
    path: str,
    *,
    headers: Sequence[str] = (),
    connections: int,
    for_s: int,
    core: int,
    server_cpu_s: Callable[[], float],
) -> Pressed:
    """Ask for `path` for so long, from this core. Raises RuntimeError when an answer is an error."""
    before, children = server_cpu_s(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with pinned(core):
        answers, wall_s = (_by_wrk if has_wrk() else _by_ours)(port, path, headers, connections, for_s)
    now, after = server_cpu_s(), resource.getrusage(resource.RUSAGE_CHILDREN)
    load_cpu_s = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return Pressed(answers, wall_s, load_cpu_s, now - before)


def _by_wrk(port: int, path: str, headers: Sequence[str], connections: int, for_s: int) -> tuple[int, float]:
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{for_s}s", f"http://127.0.0.1:{port}{path}"]
    argv += [f"-H{line}" for line in headers]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=_LONGEST_S, check=False).stdout
    found, faults = _ANSWERS.search(said), _FAULTS.search(said)
    if found is None or faults:
        raise RuntimeError(f"wrk on {path}: {said}")
    return int(found[1]), float(found[2]) / (1000 if found[3] == "ms" else 1)


def _by_ours(port: int, path: str, headers: Sequence[str], connections: int, for_s: int) -> tuple[int, float]:
    found = run_program("bench.load", port=port, path=path, connections=connections, for_s=for_s, headers=[*headers])
    return found["answers"], found["wall_s"]
