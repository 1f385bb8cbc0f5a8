"""The health check of a worker's container: exits with 0 if the worker here raises its lease, else with 1."""

import os
import socket
import sys
import time

from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.identifiers import host_of_worker
from tokentail.jobs.fleet import Fleet
from tokentail.redis.backend import open_backend

_TWO_BEATS_S = 2.5
_TIMEOUT_S = 2.0


def counters(fleet: Fleet, host: str) -> dict[str, int]:
    """Each worker on this host, and how often it has raised its lease."""
    return {name: lease.counter for name, lease in fleet.leases().items() if host_of_worker(name) == host}


def main() -> int:
    """Look twice, two beats apart."""
    fleet, host = open_backend(load_settings(os.environ), _TIMEOUT_S).fleet, socket.gethostname()
    try:
        before = counters(fleet, host)
        time.sleep(_TWO_BEATS_S)
        after = counters(fleet, host)
    except StoreUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if any(count > before.get(name, 0) for name, count in after.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
