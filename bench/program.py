"""The programs: modules of ours that run in processes of their own. Their one argument is an object in JSON."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

_LONGEST_S = 120.0


def program(module: str, **given: object) -> list[str]:
    """The command that runs a module with these arguments."""
    return [sys.executable, "-m", module, json.dumps(given)]


def run_program(module: str, **given: object) -> dict[str, Any]:
    """What a measuring program prints: one JSON object. Raises RuntimeError when it fails or takes too long."""
    try:
        done = subprocess.run(program(module, **given), capture_output=True, timeout=_LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{module} took longer than {_LONGEST_S:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stderr.decode(errors='replace')[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def arguments() -> dict[str, Any]:
    """In a program: what it was given."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} '{{\"argument\": value, …}}'; the arguments are those of its main function")
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def answer(run: Callable[..., Any]) -> None:
    """In a measuring program: run it with what it was given, and print what it found."""
    found = run(**arguments())
    json.dump(asdict(found) if is_dataclass(found) and not isinstance(found, type) else found, sys.stdout)
    sys.stdout.flush()
