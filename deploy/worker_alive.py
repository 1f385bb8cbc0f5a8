"""The health check of a worker's container: exits with 0 if the worker here raises its lease, else with 1."""

import os
import socket
import sys
import time

from tokentail.backend import open_backend
from tokentail.errors import StoreUnavailable
from tokentail.fleet import Fleet
from tokentail.settings import load_settings

_TWO_BEATS_S = 2.5
_TIMEOUT_S = 2.0


def counters(fleet: Fleet) -> dict[str, int]:
    """The leases of the workers on this host: a worker's name begins with its host's."""
    host = f"{socket.gethostname()}-"
    return {name: lease.counter for name, lease in fleet.leases().items() if name.startswith(host)}


def main() -> int:
    """Look twice, two beats apart."""
    fleet = open_backend(load_settings(os.environ), _TIMEOUT_S).fleet
    try:
        before = counters(fleet)
        time.sleep(_TWO_BEATS_S)
        after = counters(fleet)
    except StoreUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if any(count > before.get(name, 0) for name, count in after.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
