"""`on_abandon` in real processes: a reader of any kind keeps its job, under our server and under a WSGI server."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.acceptance.test_wsgi import SERVERS, is_followed, running_server
from tests.event_reader import EventReader
from tests.integration.web_process import Site, WebProcess
from tests.scripted_worker import ScriptedWorker
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import READER_MARKS

AFTER_S = 10
KINDS = ("asgi", "gthread")
PROMPT = json.dumps({"prompt": "why", "on_abandon": "cancel", "abandon_after_s": AFTER_S}).encode()
LEASE = {"TOKENTAIL_LEASE_S": "600"}


@contextmanager
def web_process(kind: str, valkey_url: str, folder: Path) -> Iterator[Site]:
    """Our own server's process, or that of a WSGI server."""
    if kind == "asgi":
        with WebProcess(valkey_url, **LEASE) as process:
            yield process
    else:
        with running_server(valkey_url, folder, SERVERS[kind], **LEASE) as server:
            yield server


def submitted(web: Site) -> str:
    reply = web.ask("POST", "/v1/jobs", PROMPT, Content_Type="application/json")
    assert reply.status == 202, reply.body
    return str(reply.json["id"])


def ends(worker: ScriptedWorker, job_ids: list[str]) -> list[Any]:
    """The `end` of each job; None for one that is open. A look at the store, which makes no reader."""
    return [worker.backend.store.view(job_id).end for job_id in job_ids]


@contextmanager
def polling(web: Site, job_id: str) -> Iterator[None]:
    """A client that asks one long poll after the other."""
    has_left = threading.Event()

    def poll() -> None:
        while not has_left.is_set():
            assert web.ask("GET", f"/v1/jobs/{job_id}/tokens?wait=5").status == 200

    with ThreadPoolExecutor(1) as pool:
        polls = pool.submit(poll)
        try:
            yield
        finally:
            has_left.set()
        polls.result(20)


def test_a_job_ends_when_its_last_reader_has_left(tmp_path: Path) -> None:
    """Polls, a stream and a socket each keep their job for longer than a job without readers lasts, which was
    submitted after them; when they have left, these jobs end, too. Both servers, each on a store of its own, are tried
    at the same time: nearly all of it is waiting."""
    with ThreadPoolExecutor(len(KINDS)) as scenes:
        list(scenes.map(lambda kind: play(kind, tmp_path / kind), KINDS))


def play(kind: str, folder: Path) -> None:
    """One server, over an empty store in which a worker serves demo and takes no job."""
    folder.mkdir()
    with ValkeyServer() as valkey, web_process(kind, valkey.url, folder) as web:
        client = valkey.connect()
        worker = ScriptedWorker(wire(client, client, load_settings({})))
        worker.beat()
        see_all_end(web, worker, client)
        client.close()


def see_all_end(web: Site, worker: ScriptedWorker, real_client: RedisClient) -> None:
    """Submit, read, leave, and wait for the ends."""
    polled, streamed, *rest = jobs = [submitted(web) for _ in range(3 if isinstance(web, WebProcess) else 2)]
    with ExitStack() as readers:
        readers.enter_context(polling(web, polled))
        readers.enter_context(EventReader(web, f"/v1/jobs/{streamed}/stream"))
        for job_id in rest:
            readers.enter_context(connect(f"ws://127.0.0.1:{web.port}/v1/jobs/{job_id}/ws", open_timeout=20))
        eventually(lambda: all(is_followed(real_client, each) for each in jobs), within_s=20, what="all readers wait")
        unread = submitted(web)
        eventually(lambda: ends(worker, [unread]) != [None], within_s=60, what="the job without readers has ended")
        assert ends(worker, jobs) == [None] * len(jobs)
    eventually(lambda: None not in ends(worker, jobs), within_s=90, what="the jobs whose readers have left have ended")
    for end in ends(worker, [unread, *jobs]):
        assert (end["status"], end["error"]["type"]) == (Status.CANCELLED, "abandoned")
        assert f"{AFTER_S} s" in end["error"]["message"]
    eventually(lambda: not real_client.exists(READER_MARKS), within_s=20, what="the marks of all readers are gone")
