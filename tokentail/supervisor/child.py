"""A child: a program in a session of its own that does not outlive the process that started it.

Its own session keeps the terminal's Ctrl-C from it: its parent decides when it stops. On Linux the kernel signals it
when its parent dies, however that came about.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

Child = subprocess.Popen[bytes]

_STDERR = 2
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec nothing may take a lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start_child(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    orphan_signal: int = signal.SIGKILL,
    output: IO[bytes] | None = None,
    cwd: Path | None = None,
    inherited_fds: Sequence[int] = (),
) -> Child:
    """Start `argv` with nothing on its stdin; it gets `orphan_signal` when this process dies (Linux).

    Output goes to `output`, else to our stderr. Must be called from the main thread: the kernel's signal follows the
    thread that started the child, not the process. Raises OSError when the program cannot be started.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread")
    stream = _STDERR if output is None else output
    return subprocess.Popen(  # noqa: S603 - every argv is ours
        argv,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=stream,
        cwd=cwd,
        env=dict(environment),
        pass_fds=inherited_fds,
        start_new_session=True,
        preexec_fn=_die_with(os.getpid(), orphan_signal),  # noqa: PLW1509 - takes no lock
    )


def stop_child(child: Child, grace_s: float) -> int:
    """Ask the child to stop, and kill it when it has not after `grace_s`. Returns its exit code."""
    if child.poll() is None:
        child.terminate()
        try:
            return child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def _die_with(parent: int, orphan_signal: int) -> Callable[[], None] | None:
    """What runs in the child before its program does."""
    if _libc is None:
        return None
    prctl = _libc.prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, orphan_signal)
        # The parent may have died before the kernel was asked to watch it.
        if os.getppid() != parent:
            os._exit(1)

    return bind
