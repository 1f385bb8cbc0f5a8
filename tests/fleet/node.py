"""A Valkey (or Redis) server on a TCP port, as one node of a store. Requests to it never block the event loop."""

import os
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from tests.child import Child
from tests.fleet.call import call
from tests.fleet.patience import until
from tests.valkey_server import valkey_binary

_DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")


class Node(Child):
    """One server, its data in a folder of its own."""

    def __init__(
        self, port: int, folder: Path, *options: str, address: str = "127.0.0.1", host: str | None = None
    ) -> None:
        self.port = port
        self.address = address
        self.folder = folder / f"node-{port}"
        self.folder.mkdir(parents=True)
        argv = [
            *(str(valkey_binary()), "--port", str(port), "--bind", address),
            *("--dir", str(self.folder), "--maxmemory-policy", "noeviction", "--protected-mode", "no"),
            *("--bind-source-addr", address, "--replica-announce-ip", address, "--cluster-announce-ip", address),
            *("--enable-protected-configs", "yes", "--repl-diskless-sync-delay", "0", *_DURABLE, *options),
        ]
        super().__init__(f"node {port}", argv, self.folder / "server.log", os.environ, host)

    async def ask(self, *words: str | int, timeout_s: float = 1.0) -> Any:
        """One command over a connection of its own. Raises RedisError."""
        return await call(self.port, *words, address=self.address, timeout_s=timeout_s)

    async def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            return bool(await self.ask("PING"))
        except RedisError:
            return False

    async def ready(self) -> None:
        """Wait until it takes commands."""
        await until(self.answers, 20.0, f"{self.name} answers")

    async def is_primary(self) -> bool:
        """Whether it answers and calls itself a primary."""
        try:
            return bool((await self.ask("ROLE"))[0] == "master")
        except RedisError:
            return False

    async def is_replica_of(self, port: int) -> bool:
        """Whether it answers and receives what the server at `port` writes."""
        try:
            role = await self.ask("ROLE")
        except RedisError:
            return False
        return bool(role[0] == "slave" and int(role[2]) == port and role[3] == "connected")

    async def set(self, **settings: str | int) -> None:
        """Change its settings (`_` stands for `-`). Raises RedisError."""
        for name, value in settings.items():
            await self.ask("CONFIG", "SET", name.replace("_", "-"), value)

    async def close_to_replication(self) -> None:
        """Cut it off from its primary: it connects with a password that the primary refuses."""
        await self.set(masterauth="refused")
        await self.ask("CLIENT", "KILL", "TYPE", "master")

    async def open_to_replication(self) -> None:
        """Let it connect to a primary again."""
        await self.set(masterauth="")
