"""How many round trips to Redis each call takes at most: between two machines, each one costs their distance.

Counted on the wire. Scripts are in Redis by then, and the process has observed the workers a moment ago, as its
background loop does each second.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.http.ai_sdk_routes import UI_CHAT
from app.http.job_routes import JOBS
from app.http.openai_routes import CHAT, RESPONSES
from tests.contract.openai_clients import HI, REPEAT
from tests.counting_relay import CountingRelay
from tests.http_harness import HttpHarness, json_of, open_harness
from tests.loopback import LoopThread
from tests.sentinel_fleet import SentinelFleet
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient, connect

_ASKED: dict[str, Any] = {
    JOBS: {"prompt": "why"},
    CHAT: {"model": "demo", "messages": HI},
    RESPONSES: {"model": "demo", "input": "Hi"},
    UI_CHAT: {
        "id": "chat",
        "trigger": "submit-message",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
    },
}


@dataclass
class Site:
    """One web process; what it sends to Redis is counted, its followers' own connections apart."""

    harness: HttpHarness
    calls: CountingRelay
    followers: CountingRelay
    queue: CountingRelay
    threads: ThreadPoolExecutor
    uncounted: RedisClient
    posted: int = 0

    def count(self, call: Callable[[], Any]) -> tuple[int, Any]:
        """The fewest round trips of the process in three calls, and what the last one returned."""
        counts = []
        for _ in range(3):
            self.harness.backend.observer.observe()
            before = self._sent()
            result = call()
            counts.append(self._sent() - before)
        return min(counts), result

    def _sent(self) -> int:
        return self.calls.round_trips + self.queue.round_trips

    def post(self, path: str, headers: dict[str, str] | None = None) -> TestResponse | None:
        """Submit; the response, where there is one before the job's answer."""
        self.posted += 1
        before = self.enqueued()

        def ask() -> TestResponse:
            answer = self.harness.post(path, json=_ASKED[path], headers=headers or {})
            with closing(answer):
                answer.get_data()  # to its end
            return answer

        sent = self.threads.submit(ask)
        if path == JOBS:
            return sent.result(20)
        if headers != REPEAT:
            eventually(lambda: self.enqueued() > before, what="the job is in the queue, which its making ends with")
        else:
            waits = self.harness.waits
            eventually(lambda: waits() == self.posted, what="as many clients wait for their answers")
        return None

    def post_with_new_key(self, path: str) -> None:
        self.post(path, {"Idempotency-Key": f"k{self.posted}"})

    def enqueued(self) -> int:
        """Jobs in the queue, by a connection that is not counted."""
        length: int = self.uncounted.llen("rq:queue:tokentail")
        return length

    def submitted(self) -> str:
        return str(json_of(self.harness.post(JOBS, json=_ASKED[JOBS]))["id"])


@pytest.fixture
def primary_url(valkey_server: ValkeyServer | SentinelFleet) -> str:
    """What the relays stand in front of."""
    return valkey_server.primary_url


@pytest.fixture(params=["flask", "plane"])
def site(
    request: pytest.FixtureRequest, real_client: RedisClient, primary_url: str, loop_thread: LoopThread
) -> Iterator[Site]:
    yield from _sites(real_client, primary_url, loop_thread if request.param == "plane" else None, has_queue=False)


@pytest.fixture
def split_site(real_client: RedisClient, primary_url: str, loop_thread: LoopThread) -> Iterator[Site]:
    """A site whose queue is on another Redis, as far as it knows."""
    yield from _sites(real_client, primary_url, loop_thread, has_queue=True)


def _sites(uncounted: RedisClient, url: str, loop_thread: LoopThread | None, *, has_queue: bool) -> Iterator[Site]:
    with CountingRelay(url) as calls, CountingRelay(url) as followers, CountingRelay(url) as queue:
        client = connect(calls.url, timeout_s=5.0)
        queue_client = connect(queue.url, timeout_s=5.0) if has_queue else client
        backend = wire(client, queue_client, load_settings({}))
        harness = open_harness(backend, loop_thread, followers.url)
        with ThreadPoolExecutor(64) as threads:
            site = Site(harness, calls, followers, queue, threads, uncounted)
            yield site
            harness.end_waits()  # for clients that still wait for an answer
        harness.close()
        client.close()
        queue_client.close()


def test_a_submission_takes_at_most_three(site: Site) -> None:
    """Whether there is an earlier job, whether there is room, and making it; our own call without a key takes two."""
    found: dict[str, tuple[int, int]] = {}
    for path in (JOBS, CHAT, RESPONSES, UI_CHAT):
        site.post(path, {"Idempotency-Key": f"warm {path}"})
        before = site.enqueued()
        without_key, _ = site.count(partial(site.post, path))
        with_key, _ = site.count(partial(site.post_with_new_key, path))
        assert site.enqueued() == before + 6, "each is a job, in the queue"
        found[path] = without_key, with_key
    assert found == {JOBS: (2, 3), CHAT: (3, 3), RESPONSES: (3, 3), UI_CHAT: (3, 3)}


def test_a_queue_on_another_redis_takes_one_more(split_site: Site) -> None:
    """What goes to two servers cannot be one round trip."""
    split_site.submitted()
    found, _ = split_site.count(split_site.submitted)
    assert found == 3


def test_a_repeat_with_its_key_takes_at_most_three(site: Site) -> None:
    """Of a job that waits, which is put into the queue once more, and of one that has begun."""
    headers = {"Idempotency-Key": "same"}
    first = site.post(JOBS, headers)
    assert first is not None
    waiting, _ = site.count(lambda: site.post(JOBS, headers))
    writer = site.harness.worker.take(job_id := str(json_of(first)["id"]))
    running, again = site.count(lambda: site.post(JOBS, headers))
    assert (waiting, running) == (3, 2)
    assert (json_of(again)["id"], writer.job_id) == (job_id, job_id)


def test_a_repeat_of_an_sdk_takes_two(site: Site) -> None:
    """The SDK names its retry; the record of the question is found, and the job is looked at."""
    site.post(CHAT)
    found, _ = site.count(lambda: site.post(CHAT, REPEAT))
    assert found == 2
    assert len(site.harness.backend.queue.waiting()) == 1


def test_reads_of_jobs_take_few(site: Site) -> None:
    """The list takes its page and its jobs; one job is one look. The first of three reads the positions for a while."""
    job_id = site.submitted()
    for path, most in ((JOBS, 2), (f"{JOBS}/{job_id}", 1)):

        def read(path: str = path) -> None:
            assert site.harness.get(path).status_code == 200

        assert site.count(read)[0] == most, path


def test_a_job_that_runs_is_deleted_in_four(site: Site) -> None:
    """The job is looked at, erased, taken off all lists, and counted out."""

    def delete() -> None:
        job_id = site.submitted()
        site.harness.worker.say(site.harness.worker.take(job_id), "a")
        before = site.calls.round_trips
        assert site.harness.client.delete(f"{JOBS}/{job_id}").status_code == 204
        counts.append(site.calls.round_trips - before)

    counts: list[int] = []
    for _ in range(3):
        delete()
    assert min(counts) == 4
