"""Hosts of their own: network namespaces on a switch, one each for the store, the web processes and two workers.

The clients and the upstream are on the web processes' host; workers reach the upstream over a second switch, so that a
cut link of a worker leaves its provider's answers coming in. It needs root.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.fleet.deployment import Deployment
from tests.fleet.store import SingleStore

_NAMES = ("store", "web", "worker1", "worker2")
_PREFIX = "FLEET_HOSTS"  # the variable that tells a process inside how the namespaces' names begin
_NETWORK = "198.18.0"  # for benchmarks (RFC 2544): routed nowhere
_UPSTREAMS_NETWORK = "198.18.1"
_BLOCKED, _FORWARDING = "0", "3"  # linux/if_bridge.h


class Hosts:
    """The hosts as a process sees them that runs on the web processes' host."""

    def __init__(self) -> None:
        self._prefix = os.environ[_PREFIX]

    @staticmethod
    def are_up() -> bool:
        """Whether this process runs inside."""
        return _PREFIX in os.environ

    @staticmethod
    def run_inside(argv: Sequence[str]) -> int:
        """Set the hosts up, run a program on that of the web processes, and remove them; the program's exit code."""
        if os.geteuid() != 0:
            print("Network namespaces need root.")
            return 2
        prefix = f"fleet{os.getpid()}-"
        try:
            _set_up(prefix)
            inside = ["ip", "netns", "exec", prefix + "web", *argv]
            return subprocess.run(inside, env={**os.environ, _PREFIX: prefix}, check=False).returncode
        finally:
            for name in (*_NAMES, "switch"):
                subprocess.run(["ip", "netns", "delete", prefix + name], stderr=subprocess.DEVNULL, check=False)

    def deployment(self, folder: Path, more: dict[str, str]) -> Deployment:
        """One Valkey on the store's host, a worker on each of two, the rest here."""
        store = SingleStore(folder, address=f"{_NETWORK}.1", host=self._prefix + "store")
        store.kind = "single, hosts of their own"
        workers = (self._prefix + "worker1", self._prefix + "worker2")
        upstream = f"{_UPSTREAMS_NETWORK}.2"
        return Deployment(store, folder, worker_hosts=workers, upstream_address=upstream, more=more)

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """A host's link to all others carries nothing, without a word to anybody."""
        switch = ["bridge", "-n", self._prefix + "switch", "link", "set", "dev", name, "state"]
        try:
            subprocess.run([*switch, _BLOCKED], check=True)
            yield
        finally:
            subprocess.run([*switch, _FORWARDING], check=True)


def _set_up(prefix: str) -> None:
    switch = prefix + "switch"
    _ip("netns", "add", switch)
    for bridge in ("stores", "upstreams"):
        _ip("-n", switch, "link", "add", bridge, "type", "bridge")
        _ip("-n", switch, "link", "set", bridge, "up")
    for number, name in enumerate(_NAMES, 1):
        _ip("netns", "add", prefix + name)
        _ip("-n", prefix + name, "link", "set", "lo", "up")
        _connect(prefix, name, "stores", name, "eth0", f"{_NETWORK}.{number}")
        if name != "store":
            _connect(prefix, name, "upstreams", f"{name}-up", "eth1", f"{_UPSTREAMS_NETWORK}.{number}")


def _connect(prefix: str, host: str, bridge: str, port: str, device: str, address: str) -> None:
    """A cable from a host's device to a port of the switch."""
    switch = prefix + "switch"
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", device, "netns", prefix + host)
    _ip("-n", switch, "link", "set", port, "master", bridge, "up")
    _ip("-n", prefix + host, "addr", "add", f"{address}/24", "dev", device)
    _ip("-n", prefix + host, "link", "set", device, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
