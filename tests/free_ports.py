"""Ports of loopback for servers that must know theirs before they start.

They lie below those that Linux gives to connections, so that none is taken between the look and the start; each worker
of pytest-xdist has a range of its own.
"""

import itertools
import os
import socket

_FIRST = 10_000
_EACH = 1000  # ports of one worker
_WORKERS = 20

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
# Another run of the tests on this machine begins elsewhere.
_ports = itertools.cycle(_FIRST + _worker * _EACH + (os.getpid() * 37 + i) % _EACH for i in range(_EACH))


def free_ports(count: int) -> list[int]:
    """`count` ports of loopback on which nothing listens."""
    return list(itertools.islice(filter(_is_free, _ports), count))


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
