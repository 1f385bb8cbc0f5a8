"""Name look-ups that end in time: the system's own has no time limit, and may take half a minute without a name server.

Connections that need a host's name share its look-ups. One that a name server has not answered for a second waits for
that server's time-out, also when the name is known again: a second one is then begun beside it, and a third.
"""

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future

_ASK_AGAIN_S = 1.0
_MOST = 3  # of one host at a time: under gevent all look-ups of a process have ten threads

_running: dict[tuple[str, int], list["Future[None]"]] = {}
_begun_at: dict[tuple[str, int], float] = {}
_lock = threading.Lock()


def look_up_within(host: str, port: int, timeout_s: float | None) -> None:
    """Return when the system knows the host's address. Raises OSError; TimeoutError when that takes too long.

    The connection that follows asks the system again, which then answers from what it has just learned.
    """
    if timeout_s is None or _is_address(host):
        return None
    deadline = time.monotonic() + timeout_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            return _newest(host, port).result(min(_ASK_AGAIN_S, max(0.0, left_s)))
        except TimeoutError:
            if left_s <= _ASK_AGAIN_S:
                raise


def _newest(host: str, port: int) -> "Future[None]":
    """The look-up of the host that was begun last; a new one when that is more than a second ago."""
    with _lock:
        running = _running.setdefault((host, port), [])
        is_slow = running and time.monotonic() - _begun_at[host, port] >= _ASK_AGAIN_S
        if not running or (is_slow and len(running) < _MOST):
            looking: Future[None] = Future()
            running.append(looking)
            _begun_at[host, port] = time.monotonic()
            threading.Thread(target=_look_up, args=(host, port, looking), name="name-lookup", daemon=True).start()
        return running[-1]


def _look_up(host: str, port: int, found: "Future[None]") -> None:
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except BaseException as error:
        failure: BaseException | None = error
    else:
        failure = None
    with _lock:
        _running[host, port].remove(found)
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
