"""Name look-ups that end in time: the system's own has no time limit, and may take half a minute without a name server.

One look-up of a host runs at a time; connections that need the name meanwhile share it.
"""

import ipaddress
import socket
import threading
from concurrent.futures import Future

_running: dict[tuple[str, int], "Future[None]"] = {}
_lock = threading.Lock()


def look_up_within(host: str, port: int, timeout_s: float | None) -> None:
    """Return when the system knows the host's address. Raises OSError; TimeoutError when that takes too long.

    The connection that follows asks the system again, which then answers from what it has just learned.
    """
    if timeout_s is None or _is_address(host):
        return
    with _lock:
        looking = _running.get((host, port))
        if looking is None:
            looking = _running[host, port] = Future()
            threading.Thread(target=_look_up, args=(host, port, looking), name="name-lookup", daemon=True).start()
    looking.result(timeout_s)


def _look_up(host: str, port: int, found: "Future[None]") -> None:
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except BaseException as error:
        failure: BaseException | None = error
    else:
        failure = None
    with _lock:
        del _running[host, port]
    if failure is None:
        found.set_result(None)
    else:
        found.set_exception(failure)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
