"""Cut links on loopback: packets to and from a port are dropped without a word. It needs root and iptables."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_BUS = 10_000  # a cluster's nodes speak with each other on a port so much higher


def can_cut() -> bool:
    """Whether this machine and user can cut links."""
    return os.geteuid() == 0 and shutil.which("iptables") is not None


@contextmanager
def cut_off(port: int) -> Iterator[None]:
    """Nothing reaches a server's ports, and nothing leaves them, connected or not."""
    rules = [(side, str(each)) for each in (port, port + _BUS) for side in ("--dport", "--sport")]
    try:
        for side, each in rules:
            _iptables("-I", side, each)
        yield
    finally:
        for side, each in rules:
            _iptables("-D", side, each)


def _iptables(what: str, side: str, port: str) -> None:
    subprocess.run(["iptables", "-w", what, "INPUT", "-i", "lo", "-p", "tcp", side, port, "-j", "DROP"], check=True)
