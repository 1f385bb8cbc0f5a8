"""The deployment: a Valkey with its append-only file, workers, a web process, an upstream, and a proxy on every way.

Workers and web process each reach Redis through a proxy of their own, so that one can be cut off alone.
"""

import asyncio
import shutil
from pathlib import Path

from tests.acceptance.chaos.connection import LOST, Connection
from tests.acceptance.chaos.program import Program
from tests.acceptance.chaos.proxy import Proxy
from tests.acceptance.chaos.upstream import Upstream
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer
from tokentail.redis.keys import WORKERS

MODEL = "openai/m"
GRACE_S = 1.5


class Deployment:
    """All processes of a deployment. A test may hurt each of them, and the part that hurt it starts it again."""

    def __init__(self, folder: Path, *, workers: int = 2, lease_s: float = 2.0, slots: int = 25) -> None:
        self.lease_s = lease_s
        self.valkey = ValkeyServer("--auto-aof-rewrite-percentage", "0", is_durable=True)
        self.upstream = Upstream()
        self.upstream_proxy = Proxy(lambda: asyncio.open_connection("127.0.0.1", self.upstream.port))
        self.redis_proxies = [Proxy(self._open_valkey) for _ in range(workers + 1)]  # the web process's is the last
        (self.web_port,) = free_ports(1)
        self.workers: list[Program] = []
        self._folder = folder
        self._slots = slots

    async def start(self) -> None:
        self.valkey.start()
        await self.upstream.start()
        for proxy in (self.upstream_proxy, *self.redis_proxies):
            await proxy.start()
        settings = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.upstream_proxy.port}/v1",
            "OPENAI_API_KEY": "none",
            "TOKENTAIL_LEASE_S": f"{self.lease_s:g}",
            "TOKENTAIL_GRACE_S": f"{GRACE_S:g}",
            "TOKENTAIL_WORKER_CONCURRENCY": str(self._slots),
            "TOKENTAIL_CONNECT_TIMEOUT_S": "3",
            "TOKENTAIL_FIRST_TOKEN_TIMEOUT_S": "10",
            "TOKENTAIL_IDLE_TIMEOUT_S": "10",
            "TOKENTAIL_JOB_TIMEOUT_S": "120",
            "TOKENTAIL_QUEUE_TIMEOUT_S": "120",
            "TOKENTAIL_PORT": str(self.web_port),
        }
        urls = [f"redis://127.0.0.1:{proxy.port}" for proxy in self.redis_proxies]
        self.workers = [
            Program("worker", f"worker-{i}", self._folder, {**settings, "REDIS_URL": url})
            for i, url in enumerate(urls[:-1])
        ]
        self.web = Program("app", "web", self._folder, {**settings, "REDIS_URL": urls[-1]})
        for program in (*self.workers, self.web):
            program.start()
        await self.ready()

    async def stop(self) -> None:
        for program in (*self.workers, self.web):
            program.kill()
        for proxy in (self.upstream_proxy, *self.redis_proxies):
            await proxy.stop()
        await self.upstream.stop()
        self.valkey.kill()
        self.valkey.erase()

    async def ready(self, within_s: float = 90.0) -> None:
        """Wait until the web process answers and knows what the workers serve."""
        async with asyncio.timeout(within_s):
            while not await self._has_models():
                await asyncio.sleep(0.1)

    async def _has_models(self) -> bool:
        connection = Connection(self.web_port)
        try:
            reply = await connection.ask("GET", "/v1/models")
            return reply.status == 200 and b"openai/" in reply.body
        except LOST:
            return False
        finally:
            connection.close()

    async def at_work(self, program: Program, within_s: float = 30.0) -> None:
        """Wait until a worker's process has a lease."""
        client = self.valkey.connect()
        try:
            async with asyncio.timeout(within_s):
                while not any(_mark(program) in worker for worker in client.hkeys(WORKERS)):
                    await asyncio.sleep(0.05)
        finally:
            client.close()

    def held_by(self, program: Program) -> list[str]:
        """The jobs that a worker's process holds, by their records."""
        client = self.valkey.connect()
        try:
            names = list(client.scan_iter("tt:{*}:job", count=1000))
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hget(name, "worker")
            holders = pipe.execute()
        finally:
            client.close()
        mark = _mark(program)
        return [name.decode() for name, holder in zip(names, holders, strict=True) if mark in (holder or b"")]

    def copy_valkey(self) -> Path:
        """Put what Valkey has on its disk now aside, as a replica that lags would have it."""
        copy = self._folder / "aside"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.valkey.folder / "appendonlydir", copy)
        return copy

    def put_back(self, copy: Path) -> None:
        """Give Valkey, which is not running, that older state."""
        shutil.rmtree(self.valkey.folder / "appendonlydir")
        shutil.move(copy, self.valkey.folder / "appendonlydir")

    async def _open_valkey(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.valkey.url.removeprefix("unix://"))


def _mark(program: Program) -> bytes:
    """What a worker's name has of its process: it is host-pid-random."""
    return f"-{program.pid}-".encode()
