"""A measuring program: a module of ours, run in a process of its own, that prints one JSON object."""

import json
import subprocess
import sys
from typing import Any

_LONGEST_S = 120.0


def run_program(module: str, *arguments: object) -> dict[str, Any]:
    """What `python -m module arguments…` prints. Raises RuntimeError when it fails or takes too long."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{module} took longer than {_LONGEST_S:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stderr.decode(errors='replace')[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
