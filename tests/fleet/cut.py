"""Cut links on loopback: packets to and from an address are dropped without a word. It needs root and iptables."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def can_cut() -> bool:
    """Whether this machine and user can cut links."""
    return os.geteuid() == 0 and shutil.which("iptables") is not None


@contextmanager
def cut_off(address: str) -> Iterator[None]:
    """Nothing reaches a server's address, and nothing leaves it, connected or not."""
    try:
        for side in ("-d", "-s"):
            _iptables("-I", side, address)
        yield
    finally:
        for side in ("-d", "-s"):
            _iptables("-D", side, address)


def _iptables(what: str, side: str, address: str) -> None:
    subprocess.run(["iptables", "-w", what, "INPUT", "-i", "lo", side, address, "-j", "DROP"], check=True)
