"""No wake-up is lost, whenever the connection to Redis goes: it is cut at every step, and once it just falls silent."""

import asyncio
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from app.reading.subscription import Subscription
from tests.http_harness import HttpHarness, json_of, open_harness
from tests.integration.frozen_proxy import FrozenProxy
from tests.loopback import LoopThread
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient, connect_async

WITHIN_S = 8.0  # a lost wake-up would take all of a wait, 20 s
STEPS = range(1, 17)  # pieces of the conversation with Redis after which it is cut


@pytest.fixture
def own(real_client: RedisClient) -> Backend:
    return wire(real_client, real_client, load_settings({}))


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


def next_token(harness: HttpHarness, job_id: str, cursor: str) -> tuple[list[str], str]:
    """What a long poll brings; it asks again while the response is that of an outage."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        answer = harness.get(f"/v1/jobs/{job_id}/tokens?cursor={cursor}&wait=20")
        if answer.status_code == 200:
            body = json_of(answer)
            cursor = body["cursor"]
            if body["tokens"] or body["done"]:
                return body["tokens"], cursor
        else:
            assert answer.status_code == 503
    raise AssertionError("no token came")


def followed_through_cuts(own: Backend, loop_thread: LoopThread, url: str, step: int) -> float:
    """How long the slowest token took, when the connections are cut at this step, and again, and again."""
    with closing(FrozenProxy(url.removeprefix("unix://"))) as proxy:
        harness = open_harness(own, loop_thread, f"redis://127.0.0.1:{proxy.port}")
        worker = ScriptedWorker(own)
        job_id = worker.submit()
        slowest, cursor = 0.0, "0"
        proxy.cut_after(step)
        with ThreadPoolExecutor(1) as pool:
            writer = worker.take(job_id)
            for n in range(4):
                reader = pool.submit(next_token, harness, job_id, cursor)
                eventually(lambda reader=reader: harness.waits() or reader.done(), within_s=WITHIN_S)  # type: ignore[misc]
                began = time.monotonic()
                worker.say(writer, f"{n} ")
                tokens, cursor = reader.result(WITHIN_S + 2)
                assert tokens == [f"{n} "]
                slowest = max(slowest, time.monotonic() - began)
                if n < 2:
                    proxy.cut_after(step)
            plane = harness.plane
            assert plane is not None
            # A blind waiter reads again each second; that must not hide a subscription that never came back.
            eventually(lambda: loop_thread.call(plane.wired.hub.tails.is_live, job_id), what="it is subscribed again")
            worker.say(writer, COMPLETED)
            assert next_token(harness, job_id, cursor)[0] == []
        harness.close()
        return slowest


def test_a_connection_that_is_cut_at_any_step_loses_no_wake_up(
    own: Backend, loop_thread: LoopThread, valkey_url: str
) -> None:
    """Before the subscription, after it was sent, after it was confirmed, in mid-read, and while everybody waits."""
    with ThreadPoolExecutor(8) as pool:
        slowest = list(pool.map(lambda step: followed_through_cuts(own, loop_thread, valkey_url, step), STEPS))
    assert max(slowest) < WITHIN_S


def test_many_who_wait_all_hear_after_a_cut(own: Backend, loop_thread: LoopThread, valkey_url: str) -> None:
    """Every waiting reader gets the next token after a cut, and no wait is counted afterwards."""
    with closing(FrozenProxy(valkey_url.removeprefix("unix://"))) as proxy:
        harness = open_harness(own, loop_thread, f"redis://127.0.0.1:{proxy.port}")
        worker = ScriptedWorker(own)
        job_id = worker.submit()
        with ThreadPoolExecutor(30) as pool:
            readers = [pool.submit(next_token, harness, job_id, "0") for _ in range(30)]
            eventually(lambda: harness.waits() == 30)
            proxy.cut_after(1)
            worker.answer(job_id, "a")
            assert [reader.result(WITHIN_S)[0] for reader in readers] == [["a"]] * 30
        assert harness.waits() == 0
        harness.close()


class Heard:
    """A listener that keeps its calls, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def confirmed(self, channel: str) -> None:
        self.told.append(f"confirmed {channel}")

    def heard(self, channel: str, message: bytes) -> None:
        self.told.append(f"{channel}: {message.decode()}")

    def lost(self, channels: Collection[str]) -> None:
        self.told.append("lost")


def test_a_connection_that_fell_silent_is_replaced(
    loop_thread: LoopThread, valkey_url: str, real_client: RedisClient
) -> None:
    """A host that vanished without a word is noticed by its silence; every channel is confirmed anew."""
    with closing(FrozenProxy(valkey_url.removeprefix("unix://"))) as proxy:
        heard = Heard()
        redis = connect_async(f"redis://127.0.0.1:{proxy.port}", 0.5)
        subscription = loop_thread.call(lambda: Subscription(redis, heard, dead_after_s=0.6))
        running = asyncio.run_coroutine_threadsafe(subscription.run(), loop_thread.loop)
        loop_thread.call(subscription.add, "news")
        eventually(lambda: "confirmed news" in heard.told)
        proxy.freeze()
        real_client.publish("news", "nobody hears this")
        eventually(lambda: heard.told.count("confirmed news") == 2, within_s=9, what=str(heard.told))
        real_client.publish("news", "heard")
        eventually(lambda: heard.told[-1] == "news: heard")
        assert [told for told in heard.told if "alive" not in told] == [
            *("confirmed news", "lost", "confirmed news", "news: heard")
        ]
        loop_thread.call(subscription.drop, "news")
        eventually(lambda: real_client.pubsub_numsub("news")[0][1] == 0)
        running.cancel()
        eventually(lambda: heard.told.count("lost") == 2)


def test_a_subscription_ends_whenever_it_is_cancelled(loop_thread: LoopThread, valkey_url: str) -> None:
    """At every turn of the loop: redis-py may swallow a cancellation, and a process would hang at its stop."""

    async def cancelled_after(turns: int) -> None:
        redis = connect_async(valkey_url, 0.9)
        running = asyncio.create_task(Subscription(redis, Heard()).run())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=5)
        assert done, turns

    for turns in range(40):
        loop_thread.run(cancelled_after(turns))
