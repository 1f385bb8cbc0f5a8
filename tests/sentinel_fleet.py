"""Servers with Sentinels for tests: a primary, replicas and three Sentinels, all real, which fail over in earnest.

Each server can be killed, made to hang, and brought back as it was: an old primary then takes itself for one.
"""

import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from tests.child import die_with_parent
from tests.free_ports import free_ports
from tests.valkey_server import valkey_binary
from tests.waiting import eventually
from tokentail.redis.client import RedisClient, connect

NAME = "tokentail"


class Process:
    """One valkey-server, as a server or as a Sentinel, on a port of loopback."""

    def __init__(self, folder: Path, port: int, *options: str, user: str = "", password: str = "") -> None:
        self.port = port
        self._options = options
        self._folder = folder
        folder.mkdir()
        self._child: subprocess.Popen[bytes] | None = None
        self.client: Any = redis.Redis(
            port=port,
            username=user or None,
            password=password or None,
            socket_timeout=1,
            socket_connect_timeout=1,
            decode_responses=True,
        )

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._child = subprocess.Popen(
                [str(valkey_binary()), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no locks taken
            )
        eventually(self._answers, within_s=20, what=f"valkey-server on port {self.port} answers")
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def kill(self) -> None:
        """End it without a word; may be called twice."""
        self.client.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)
            self._child = None

    @property
    def role(self) -> str:
        """`master`, `slave`, or `` while it does not answer."""
        with suppress(redis.exceptions.RedisError):
            return str(self.client.execute_command("ROLE")[0])
        return ""

    def _answers(self) -> bool:
        with suppress(redis.exceptions.BusyLoadingError, redis.exceptions.ConnectionError):
            return bool(self.client.ping())
        return False


class SentinelFleet:
    """One primary, its replicas, and Sentinels. `url` is what the product takes."""

    def __init__(
        self,
        replicas: int = 2,
        sentinels: int = 3,
        *,
        password: str = "",
        sentinel_password: str = "",
        down_after_ms: int = 2000,
    ) -> None:
        """A server that is silent for `down_after_ms` is taken for dead, which may happen on a busy machine."""
        self._folder = Path(tempfile.mkdtemp(prefix="tt-sentinel-", dir="/tmp"))
        self._credentials = (password, sentinel_password)
        self._down_after_ms = down_after_ms
        self._quorum = sentinels // 2 + 1
        ports = free_ports(1 + replicas + sentinels)
        self.servers = [self._server(port) for port in ports[: replicas + 1]]
        self.sentinels = [self._sentinel(port, ports[0]) for port in ports[replicas + 1 :]]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        password, sentinel_password = self._credentials
        own = f"?sentinel_password={sentinel_password}" if sentinel_password else ""
        return f"redis+sentinel://{f':{password}@' if password else ''}{hosts}/{NAME}/0{own}"

    @property
    def primary_url(self) -> str:
        """The URL of the primary itself, which a fail-over changes."""
        return f"redis://127.0.0.1:{self.primary.port}/0"

    def connect(self, timeout_s: float = 5.0) -> RedisClient:
        """A new client of the kind that the product uses."""
        return connect(self.url, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        for replica in self.servers[1:]:
            replica.client.replicaof("127.0.0.1", self.servers[0].port)
        eventually(self._replicates, within_s=20, what="the replicas have caught up")
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(self._is_watched, within_s=30, what="the Sentinels know each other and the replicas")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (*self.sentinels, *self.servers):
            each.kill()
        shutil.rmtree(self._folder)

    @property
    def primary(self) -> Process:
        """The server that the last Sentinel names."""
        return next(server for server in self.servers if server.port == self._named_by(self.sentinels[-1]))

    def await_switch(self, old: Process) -> Process:
        """The new primary, once every Sentinel that answers names it and it takes writes."""

        def has_switched() -> bool:
            ports = {self._named_by(sentinel) for sentinel in self.sentinels} - {None}
            return len(ports) == 1 and old.port not in ports and self.primary.role == "master"

        eventually(has_switched, within_s=30, what="the Sentinels have failed over")
        return self.primary

    def _named_by(self, sentinel: Process) -> int | None:
        with suppress(redis.exceptions.RedisError):
            return int(sentinel.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])
        return None

    def _server(self, port: int) -> Process:
        folder = self._folder / str(port)
        password, _ = self._credentials
        options = [*("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "")]
        options += ["--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        if password:
            options += ["--requirepass", password, "--primaryauth", password]
        return Process(folder, port, *options, password=password)

    def _sentinel(self, port: int, primary: int) -> Process:
        folder = self._folder / str(port)
        password, own_password = self._credentials
        sentinel = Process(folder, port, str(folder / "sentinel.conf"), "--sentinel", password=own_password)
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"sentinel monitor {NAME} 127.0.0.1 {primary} {self._quorum}",
            f"sentinel down-after-milliseconds {NAME} {self._down_after_ms}",
            f"sentinel failover-timeout {NAME} 10000",
        ]
        if password:
            lines.append(f"sentinel auth-pass {NAME} {password}")
        if own_password:
            lines += [f"requirepass {own_password}", f"sentinel sentinel-pass {own_password}"]
        (folder / "sentinel.conf").write_text("\n".join((*lines, "")))
        return sentinel

    def _replicates(self) -> bool:
        links = [server.client.info("replication").get("master_link_status") for server in self.servers[1:]]
        return links == ["up"] * len(links)

    def _is_watched(self) -> bool:
        for sentinel in self.sentinels:
            state = sentinel.client.execute_command("SENTINEL", "MASTER", NAME)
            facts = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
            known = int(facts["num-slaves"]), int(facts["num-other-sentinels"])
            if known != (len(self.servers) - 1, len(self.sentinels) - 1):
                return False
        return True
