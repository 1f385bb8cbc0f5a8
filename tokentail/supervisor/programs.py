"""Our own programs, as a supervisor starts them, and how long each may take to stop."""

import sys

from tokentail.config.settings import Settings

_SLACK_S = 5.0  # what a drained worker needs to hand over and go, and a web process to end its last streams


def python_argv(module: str, *options: str) -> list[str]:
    """How to run a module of ours."""
    # -P: a folder named app or worker where the user happens to be is not ours.
    return [sys.executable, "-P", "-m", module, *options]


def stop_within_s(settings: Settings) -> float:
    """Long enough for a worker to keep its promise to running jobs, and for a web process to its streams."""
    return settings.drain_s + settings.grace_s + _SLACK_S
