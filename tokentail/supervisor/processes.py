"""Several processes of one kind by one command: `tokentail worker --processes 4`, `tokentail web --processes 2`.

They differ in nothing but their metrics' address, which one of them must have for itself. Whichever dies is started
again; a signal goes to all of them at once.
"""

import logging
import socket
from collections.abc import Mapping, Sequence
from functools import partial

from tokentail.config.address import Address
from tokentail.config.endpoints import load_endpoints
from tokentail.config.settings import Settings
from tokentail.errors import SettingsError
from tokentail.supervisor.child import start_child
from tokentail.supervisor.programs import python_argv, stop_within_s
from tokentail.supervisor.service import NotStarted, Service
from tokentail.supervisor.services import Services, supervisor_signals

log = logging.getLogger(__name__)


def run_workers(settings: Settings, environment: Mapping[str, str], count: int) -> None:
    """Run so many workers until a signal. Raises SettingsError, NotStarted, OSError."""
    settings.require_redis()
    load_endpoints(settings, environment)  # so that its faults are reported once, and not by every worker
    environments = _with_own_metrics(environment, "TOKENTAIL_WORKER_METRICS", settings.worker_metrics, count)
    _run("worker", python_argv("worker"), environments, stop_within_s(settings))


def run_webs(settings: Settings, environment: Mapping[str, str], count: int) -> None:
    """Run so many web processes on one port until a signal. Raises SettingsError, NotStarted, OSError.

    They share one listening socket, which is ours. SO_REUSEPORT would give each its own, and the kernel would go on
    dealing connections to one that hangs, and reset those that wait for one that died. With one socket,
    an idle process takes the next connection; while one process restarts, the others, or the backlog, take all.
    """
    settings.require_redis()
    environments = _with_own_metrics(environment, "TOKENTAIL_WEB_METRICS", settings.web_metrics, count)
    address = Address(settings.host, settings.port)
    try:
        listener = address.listen()
    except OSError as error:
        raise NotStarted(f"cannot listen on {address}: {error.strerror}") from None
    argv = python_argv("app", "--listen-fd", str(listener.fileno()))
    _run("web", argv, environments, stop_within_s(settings), listener)


def _run(
    name: str,
    argv: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    grace_s: float,
    listener: socket.socket | None = None,
) -> None:
    """Start one process for each environment; return when a signal has stopped them all. It closes the listener."""
    inherited_fds = [listener.fileno()] if listener else []
    with supervisor_signals() as signals:
        services = Services(signals)
        try:
            for number, environment in enumerate(environments, start=1):
                start = partial(start_child, argv, environment, inherited_fds=inherited_fds)
                services.start(Service(f"{name} {number}", start, grace_s=grace_s))
            log.info("processes.started", extra={"program": name, "processes": len(environments)})
            services.tend()
            log.info("processes.stopping", extra={"program": name, "grace_s": grace_s})
        finally:
            if listener:
                listener.close()  # or connections would still be accepted that no process answers
            services.stop_at_once()


def _with_own_metrics(
    environment: Mapping[str, str], name: str, address: Address | None, count: int
) -> list[dict[str, str]]:
    """The environment of each process: the i-th has its metrics i ports further on. Raises SettingsError."""
    if address is None:
        return [dict(environment)] * count
    try:
        return [{**environment, name: str(address.plus(i))} for i in range(count)]
    except ValueError as error:
        raise SettingsError([f"{name}: {error}"]) from None
