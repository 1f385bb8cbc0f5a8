"""The product's processes on a store: two workers, some web processes; and the upstream of all jobs."""

import sys
from pathlib import Path

from tests.acceptance.chaos.connection import LOST, Connection
from tests.acceptance.chaos.upstream import Upstream
from tests.acceptance.running import environment
from tests.child import Child
from tests.fleet.patience import until
from tests.fleet.store import Store
from tests.free_ports import free_ports

_SETTINGS = {
    "OPENAI_API_KEY": "none",
    "TOKENTAIL_GRACE_S": "3",
    "TOKENTAIL_WORKER_CONCURRENCY": "100",
    "TOKENTAIL_JOB_TIMEOUT_S": "300",
    "TOKENTAIL_QUEUE_TIMEOUT_S": "120",
}


class Deployment:
    """`worker_hosts` are the network namespaces of the workers; None is that of this process."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        webs: int = 2,
        worker_hosts: tuple[str | None, ...] = (None, None),
        upstream_address: str = "127.0.0.1",
        more: dict[str, str] | None = None,
    ) -> None:
        self.store = store
        self.upstream = Upstream()
        self.ports = free_ports(webs)
        self.workers: list[Child] = []
        self.webs: list[Child] = []
        self._folder = folder
        self._hosts = worker_hosts
        self._upstream_address = upstream_address
        self._settings = {**_SETTINGS, **store.settings, **(more or {})}

    @property
    def programs(self) -> list[Child]:
        return [*self.workers, *self.webs]

    async def start(self) -> None:
        """Start all. Raises TimeoutError when the web processes do not see both workers."""
        await self.store.start()
        await self.upstream.start(self._upstream_address)
        base = f"http://{self._upstream_address}:{self.upstream.port}/v1"
        for i, host in enumerate(self._hosts, 1):
            self.workers.append(self._program(f"worker-{i}", "worker", host, OPENAI_BASE_URL=base))
        for i, port in enumerate(self.ports, 1):
            self.webs.append(self._program(f"web-{i}", "app", None, TOKENTAIL_PORT=str(port)))
        for program in self.programs:
            program.start()
        await until(self._is_ready, 60.0, f"every web process sees {len(self.workers)} workers")

    async def stop(self) -> None:
        for program in self.programs:
            program.kill()
        await self.upstream.stop()
        self.store.stop()

    def dead(self) -> list[str]:
        """The product's processes that have ended: no fault here ends one."""
        return [program.name for program in self.programs if not program.is_alive]

    def tracebacks(self) -> dict[str, int]:
        """How many tracebacks each process has logged."""
        return {
            program.name: count
            for program in self.programs
            if (count := program.log.read_text(errors="replace").count("Traceback (most recent call last)"))
        }

    def _program(self, name: str, module: str, host: str | None, **more: str) -> Child:
        settings = environment(**self._settings, **more)
        return Child(name, [sys.executable, "-m", module], self._folder / f"{name}.log", settings, host)

    async def _is_ready(self) -> bool:
        if dead := self.dead():
            raise TimeoutError(f"{', '.join(dead)} ended at once; its log is in {self._folder}")
        return all([await _sees(port, len(self.workers)) for port in self.ports])


async def _sees(port: int, workers: int) -> bool:
    connection = Connection(port)
    try:
        reply = await connection.ask("GET", "/readyz", timeout_s=3.0)
        return reply.status == 200 and reply.json.get("workers") == workers
    except LOST:
        return False
    finally:
        connection.close()
