"""Readers that change transport in mid-job all assemble exactly the log's text.

A real web process and a real Valkey; random scripts of writes, new generations, lost attempts, ends and lost
connections. The seed is in the failure's message: TOKENTAIL_TEST_SEED=7 runs it again.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_socket

from tests.integration.web_process import WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.identifiers import new_generation
from tokentail.jobs.job import Status
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End, Reasoning, decode
from tokentail.redis.backend import now_ms, wire
from tokentail.redis.client import RedisClient

SEED = int(os.environ.get("TOKENTAIL_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
SAID = ("a", "lo ", "\r\n", "\r", "\n\n", "[DONE]", "data: x\n\n", "🙂", "\u2028", '"\\', "", " ", "id: 7\n")
READERS, JOBS = 6, 4


@dataclass
class Reader:
    """The four-line client, whatever brings the bodies."""

    web: WebProcess
    job_id: str
    dice: random.Random
    cursor: str = "0"
    tokens: list[str] = field(default_factory=list)
    is_done: bool = False
    used: list[str] = field(default_factory=list)

    def take(self, body: dict[str, Any]) -> None:
        if body["reset"]:
            self.tokens.clear()
        self.tokens += body["tokens"]
        self.cursor = body["cursor"]
        self.is_done = body["done"]

    def follow(self) -> None:
        until = time.monotonic() + 60
        ways: list[Callable[[], None]] = [self.short, self.long, self.any_of, self.stream, self.socket]
        while not self.is_done:
            assert time.monotonic() < until, f"{self.used[-10:]} at {self.cursor}"
            way = self.dice.choice(ways)
            self.used.append(way.__name__)
            way()

    def get(self, path: str) -> dict[str, Any]:
        reply = self.web.ask("GET", path)
        assert reply.status == 200, reply
        return reply.json

    def short(self) -> None:
        self.take(
            self.get(f"/v1/jobs/{self.job_id}/tokens?cursor={self.cursor}&limit={self.dice.choice((1, 3, 1000))}")
        )
        if not self.is_done:
            time.sleep(0.02)

    def long(self) -> None:
        linger_ms = self.dice.choice((0, 0, 50))
        path = f"/v1/jobs/{self.job_id}/tokens?cursor={self.cursor}&wait={self.dice.choice((0.2, 5))}"
        self.take(self.get(f"{path}&linger_ms={linger_ms}"))

    def any_of(self) -> None:
        self.take(self.get(f"/v1/poll?job={self.job_id}:{self.cursor}&wait=1")["jobs"][0])

    def stream(self) -> None:
        """A few events, then the connection is cut, perhaps in the middle of one."""
        with closing(HTTPConnection("127.0.0.1", self.web.port, timeout=15)) as connection:
            path = f"/v1/jobs/{self.job_id}/stream"
            if self.dice.random() < 0.5:
                connection.request("GET", path, headers={"Host": "localhost", "Last-Event-ID": self.cursor})
            else:
                connection.request("GET", f"{path}?cursor={self.cursor}", headers={"Host": "localhost"})
            response = connection.getresponse()
            if response.status == 204:
                return
            assert response.status == 200
            left = self.dice.randrange(1, 6)
            body = {}
            while left and (line := response.readline()):
                if line.startswith(b"data: "):
                    body = json.loads(line[6:])
                elif line.startswith(b"id: "):
                    assert body["cursor"] == line[4:-1].decode()
                    self.take(body)
                    left -= 1
                elif line.startswith(b":"):
                    left -= 1

    def socket(self) -> None:
        uri = f"ws://127.0.0.1:{self.web.port}/v1/jobs/{self.job_id}/ws?cursor={self.cursor}"
        with connect_socket(uri, proxy=None, open_timeout=10, close_timeout=1) as socket:
            try:
                for _ in range(self.dice.randrange(1, 6)):
                    self.take(json.loads(socket.recv(timeout=10)))
            except (ConnectionClosed, TimeoutError):
                return


def write(client: RedisClient, worker: ScriptedWorker, job_id: str, dice: random.Random) -> None:
    """One job's life."""
    store = worker.backend.store
    writer = worker.take(job_id)
    for _ in range(dice.randrange(20, 60)):
        step = dice.random()
        if step < 0.05:
            writer.start(new_generation(), "demo", "demo")
            worker.drain(writer)
        elif step < 0.09:
            job = store.view(job_id)
            assert store.requeue(job_id, job.attempt, job.enqueues, now_ms())
            writer = worker.take(job_id)
        elif step < 0.12:
            client.client_kill_filter(_type="pubsub")
        elif step < 0.2:
            worker.say(writer, Reasoning("hm"))
        else:
            worker.say(writer, *(dice.choice(SAID) for _ in range(dice.randrange(1, 5))))
        time.sleep(dice.random() * 0.06)
    if dice.random() < 0.3:
        store.close(job_id, End(Status.CANCELLED), now_ms())
    else:
        worker.say(writer, COMPLETED)


@pytest.fixture
def client(valkey_url: str, real_client: RedisClient) -> Iterator[RedisClient]:
    client = redis.Redis.from_url(valkey_url)
    yield client
    client.close()


def test_readers_that_change_transport_in_mid_job_assemble_exactly_the_text(
    client: RedisClient, valkey_url: str
) -> None:
    """By short poll, long poll, poll of several, Server-Sent Events and WebSocket, and back."""
    worker = ScriptedWorker(wire(client, client, load_settings({})))
    worker.beat()
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600") as web, ThreadPoolExecutor(JOBS * (READERS + 1)) as pool:
        jobs = [worker.submit() for _ in range(JOBS)]
        readers = [
            Reader(web, job_id, random.Random(f"{SEED} {n} {m}"))
            for n, job_id in enumerate(jobs)
            for m in range(READERS)
        ]
        reading = [pool.submit(reader.follow) for reader in readers]
        writing = [
            pool.submit(write, client, worker, job_id, random.Random(f"{SEED} {n}")) for n, job_id in enumerate(jobs)
        ]
        for each in (*writing, *reading):
            each.result(90)
        for reader in readers:
            batch = worker.backend.store.read(reader.job_id, BEGINNING, 10_000)
            assert reader.tokens == [decode(token) for token in batch.tokens], f"seed {SEED}: {reader.used}"
        assert {way for reader in readers for way in reader.used} == {"short", "long", "any_of", "stream", "socket"}
