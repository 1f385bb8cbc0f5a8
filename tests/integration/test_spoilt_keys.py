"""Whatever stands in Redis where indexes, leases, the queue and RQ's books should be ends no process and no job.

Real processes on a real Valkey. The keys of a job itself are another matter: its own fate hangs on them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import foreign_content
from tests.integration.web_process import WebProcess
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tests.webhook_receiver import SECRET
from tokentail.config.key_ring import owner_name
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire

_KEY = "k" * 32
_OWNER = owner_name(_KEY)
_KEYS = {
    "tt:{open}:jobs": "zset",
    "tt:{open}:clients": "set",
    f"tt:{{open}}:held:{_OWNER}": "zset",
    f"tt:{{open}}:admitted:{_OWNER}": "set",
    "tt:{open}:rebuild": "string",
    "tt:workers": "hash",
    "tt:catalog": "string",
    "tt:sweep": "string",
    f"tt:owner:{_OWNER}": "zset",
    "tt:{webhooks}:due": "zset",
    **foreign_content.RQ_KEYS,
    **{f"{key}-webhooks": kind for key, kind in foreign_content.RQ_KEYS.items() if key.endswith(":tokentail")},
}
_TALLY = "tokens=2&tps=0"


class _Site:
    """A web process and two workers, which all tests here share."""

    def __init__(self, server: ValkeyServer) -> None:
        self.client = server.connect()
        self._log = Path(tempfile.mkstemp(prefix="tt-workers-", suffix=".log")[1])
        settings = {"TOKENTAIL_API_KEYS": _KEY, "TOKENTAIL_LEASE_S": "3", "TOKENTAIL_WORKER_CONCURRENCY": "4"}
        # A receiver that is always away, so that there are webhooks all the time.
        settings |= {"TOKENTAIL_WEBHOOK_URLS": "http://127.0.0.1:9/", "TOKENTAIL_WEBHOOK_SECRETS": SECRET}
        environment = {"REDIS_URL": server.url, "PATH": os.environ["PATH"], **settings}
        self.backend: Backend = wire(self.client, self.client, load_settings(environment))
        self.environment = environment
        self.workers: list[subprocess.Popen[bytes]] = []
        self.web = WebProcess(server.url, **settings)

    def start_worker(self) -> None:
        before = len(self.backend.fleet.leases())
        with self._log.open("ab") as log:
            worker = subprocess.Popen([sys.executable, "-m", "worker"], env=self.environment, stderr=log)
        self.workers.append(worker)
        eventually(lambda: len(self.backend.fleet.leases()) > before, within_s=20, what="the worker raises its lease")

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        return self.web.ask(method, path, body, Authorization=f"Bearer {_KEY}", **headers)

    def submit(self, tokens: str = _TALLY, **headers: str) -> str:
        """The id of a job, once it is accepted: the first try may meet what was just planted."""
        replies: list[Any] = []

        def is_accepted() -> bool:
            body = b'{"prompt": "why", "model": "demo?%s"}' % tokens.encode()
            replies.append(self.ask("POST", "/v1/jobs", body, Content_Type="application/json", **headers))
            assert replies[-1].status in {202, 503}, replies[-1]
            return bool(replies[-1].status == 202)

        eventually(is_accepted, within_s=10, what="a submission is accepted")
        return str(replies[-1].json["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        reply = self.ask("GET", f"/v1/jobs/{job_id}")
        return dict(reply.json)

    def see_completed(self, jobs: list[str]) -> None:
        eventually(
            lambda: all(self.job(job_id).get("status") == "completed" for job_id in jobs),
            within_s=30,
            what="every job completes",
        )

    def holds_garbage(self, key: str) -> bool:
        """Whether something that was planted is still in the key."""
        kind = self.client.type(key).decode()
        reads = {"set": self.client.smembers, "zset": lambda key: self.client.zrange(key, 0, -1)}
        return kind not in {_KEYS[key], "none"} or any(
            foreign_content.MARK in m for m in reads.get(kind, lambda _: ())(key)
        )

    @property
    def log(self) -> str:
        return self._log.read_text() + self.web.log

    def check_alive(self) -> None:
        assert [worker.poll() for worker in self.workers] == [None] * len(self.workers), self.log[-3000:]
        assert self.web.exit_code is None
        assert foreign_content.MARK.decode() not in self.log

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait(10)
        self.client.close()
        self._log.unlink()


@pytest.fixture(scope="module")
def site() -> Iterator[_Site]:
    with ValkeyServer() as server:
        site = _Site(server)
        with site.web:
            try:
                site.start_worker()
                site.start_worker()
                yield site
            finally:
                site.close()


def _spoil_members(site: _Site, key: str) -> Iterator[Callable[[], None]]:
    for value in foreign_content.VALUES:
        yield lambda value=value: foreign_content.add(
            site.client, key, _KEYS[key], foreign_content.fresh(value) if value else value
        )  # type: ignore[misc]


def _spoil_type(site: _Site, key: str) -> Iterator[Callable[[], None]]:
    for kind in foreign_content.TYPES:
        if kind != _KEYS[key]:
            yield lambda kind=kind: foreign_content.replace(site.client, key, kind, foreign_content.VALUES[0])  # type: ignore[misc]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("key", _KEYS)
@pytest.mark.parametrize("how", [_spoil_members, _spoil_type], ids=["members", "type"])
def test_garbage_in_an_index_disturbs_no_job_and_no_process(
    site: _Site, key: str, how: Callable[[_Site, str], Iterator[Callable[[], None]]]
) -> None:
    """Jobs are submitted, run and read to their end meanwhile; the log names the key once a planting and process."""
    began = len(site.log)
    running = site.submit("tokens=40&tps=20")
    jobs = []
    for plant in how(site, key):
        plant()
        jobs.append(site.submit())
    reply = site.ask("GET", f"/v1/jobs/{running}/tokens?wait=5")
    assert reply.status == 200
    site.see_completed([running, *jobs])
    if key.startswith("tt:{open}:"):
        eventually(lambda: not site.holds_garbage(key), within_s=10, what="a sweep has met the garbage")
    site.check_alive()
    assert site.ask("GET", "/readyz").status == 200
    assert site.ask("GET", "/v1/overview").status == 200
    listed = site.ask("GET", "/v1/jobs")
    assert listed.status == 200
    assert site.job(running)["attempts"] == 1, "its holder was alive all the time"
    lines = [line for line in site.log[began:].splitlines() if f"key={key}" in line]
    assert len(lines) <= 3 * len(foreign_content.TYPES), "one a planting and process at the most"


def test_the_owners_list_is_rebuilt(site: _Site) -> None:
    """A list of the wrong type is dropped, and the jobs that were on it come back."""
    jobs = {site.submit() for _ in range(3)}
    site.client.set(f"tt:owner:{_OWNER}", "x")
    eventually(
        lambda: jobs <= {job["id"] for job in site.ask("GET", "/v1/jobs?limit=100").json["jobs"]},
        within_s=15,
        what="the list is whole again",
    )


@pytest.mark.parametrize("value", [*foreign_content.VALUES, b"a b", b"I" * 26 + b" " + b"0" * 64])
def test_a_spoilt_idempotency_key_is_bound_anew(site: _Site, value: bytes) -> None:
    """The submission is accepted, and the next with the same key is the same job."""
    job_id = site.submit(Idempotency_Key="mine")
    (name,) = site.client.keys("tt:idempotency:*")
    site.client.set(name, value)
    again = site.submit(Idempotency_Key="mine")
    assert site.submit(Idempotency_Key="mine") == again
    site.see_completed([job_id, again])
    site.client.delete(name)
    site.check_alive()


@pytest.mark.parametrize("kind", foreign_content.TYPES[1:])
def test_an_idempotency_key_of_the_wrong_type_is_bound_anew(site: _Site, kind: str) -> None:
    """An Idempotency-Key that is stored as something else than a string is bound to the next submission's job."""
    site.submit(Idempotency_Key="mine")
    (name,) = site.client.keys("tt:idempotency:*")
    foreign_content.replace(site.client, name.decode(), kind, b"x")
    again = site.submit(Idempotency_Key="mine")
    assert site.submit(Idempotency_Key="mine") == again
    site.client.delete(name)
    site.check_alive()


@pytest.mark.parametrize(
    "message", [*foreign_content.VALUES, b"[" * 1_000_000, b'{"command": "stop-job", "job_id": {}}']
)
def test_garbage_on_a_channel_leaves_the_worker_hearing(site: _Site, message: bytes) -> None:
    """RQ's commands and the news of closed jobs: what cannot be read is passed over, and a cancel still arrives."""
    job_id = site.submit("tokens=2000&tps=20")
    eventually(lambda: site.job(job_id)["status"] == "running", within_s=10, what="it runs")
    for worker in site.backend.fleet.leases():
        site.client.publish(f"rq:pubsub:{worker}", message)
        site.client.publish(f"tt:worker:{worker}", message)
    assert site.ask("POST", f"/v1/jobs/{job_id}/cancel").json["status"] == "cancelled"
    eventually(
        lambda: not any(lease.attempts for lease in site.backend.fleet.leases().values()),
        within_s=10,
        what="its worker has left it",
    )
    site.check_alive()


def test_entries_of_the_queue_that_are_no_jobs_are_dropped(site: _Site) -> None:
    """What is no job, has no readable record, or names another task is taken once and never run."""
    queue = "rq:queue:tokentail"
    entries = {
        b"\xff",
        b"",
        b"a b",
        b"no-job-1",
        b"x" * 26 + b"-1",
        foreign_content.VALUES[3],
        b"foreign",
        b"odd",
        b"half",
        b"deep",
    }
    site.client.hset("rq:job:foreign", mapping={"data": b'["os.getpid",null,[],{}]', "origin": "tokentail"})
    site.client.set("rq:job:odd", b"\xff")
    site.client.hset("rq:job:half", mapping={"data": b"\xff", "created_at": "never"})
    site.client.hset("rq:job:deep", mapping={"data": b"[" * 100_000, "origin": "tokentail"})
    site.client.lpush(queue, *entries)
    site.see_completed([site.submit()])
    eventually(lambda: site.client.llen(queue) == 0, what="the queue is empty")
    on_the_way = f"{queue}:intermediate"
    eventually(lambda: entries.isdisjoint(site.client.lrange(on_the_way, 0, -1)), what="none is left on the way")
    site.check_alive()


def test_a_worker_starts_whatever_stands_in_rqs_books(site: _Site) -> None:
    """Keys of the wrong type are dropped before RQ registers the worker."""
    for key in (name for name in _KEYS if name.startswith("rq:")):
        site.client.set(key, b"\xff")
    site.start_worker()
    site.see_completed([site.submit()])
    site.check_alive()
