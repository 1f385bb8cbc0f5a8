"""Wake-ups over a real Valkey: whatever becomes of the connection, who waits is woken."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.frozen_proxy import FrozenProxy
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.backend import Backend, wire
from tokentail.batch import Batch
from tokentail.commands import live_channel
from tokentail.cursor import BEGINNING, Cursor
from tokentail.element import decode
from tokentail.errors import StoreUnavailable
from tokentail.follow import Follow, Follower, Seats, read_or_wait
from tokentail.settings import load_settings
from tokentail.store import RedisClient, connect
from tokentail.wakeup import Wakeups

LONG_S = 60.0  # a wait that only a lost wake-up would make full use of


@pytest.fixture
def real_backend(real_client: RedisClient) -> Backend:
    return wire(real_client, real_client, load_settings({}))


@pytest.fixture
def wakeups(real_client: RedisClient) -> Iterator[Wakeups]:
    wakeups = Wakeups(real_client)
    yield wakeups
    wakeups.close()
    wakeups.join(5)


def subscribers(client: RedisClient, job_id: str) -> int:
    """How many connections the server has on a job's channel."""
    return int(client.pubsub_numsub(live_channel(job_id))[0][1])


def waited(follower: Follower, job_id: str, cursor: Cursor = BEGINNING) -> Batch:
    """What one long poll gets."""
    return follower.drive(read_or_wait(Follow("", job_id, cursor, 1000), LONG_S, 0, time.monotonic))


def tokens_until_done(follower: Follower, job_id: str) -> list[str]:
    """What a client of long polls reads."""
    cursor = BEGINNING
    tokens: list[str] = []
    while True:
        batch = waited(follower, job_id, cursor)
        if batch.is_reset:
            tokens.clear()
        tokens += [decode(token) for token in batch.tokens]
        if batch.is_done:
            return tokens
        cursor = batch.cursor


def test_news_wakes_every_waiter_of_its_job_and_no_other(real_backend: Backend, wakeups: Wakeups) -> None:
    """A job's news is for those who wait for that job."""
    worker = ScriptedWorker(real_backend)
    ours, other = worker.submit(), worker.submit()
    with (
        wakeups.subscribed([ours], 5) as first,
        wakeups.subscribed([ours], 5) as second,
        wakeups.subscribed([other], 5) as foreign,
    ):
        for woken in (first, second, foreign):
            woken.clear()
        worker.take(ours)
        assert first.wait(5)
        assert second.wait(5)
        assert not foreign.is_set()


def test_killing_the_connection_under_many_waiters_loses_no_news(
    real_client: RedisClient, real_backend: Backend, wakeups: Wakeups
) -> None:
    """However often the subscription's connection is killed, nobody sleeps through a token or the end."""
    worker = ScriptedWorker(real_backend)
    follower = Follower(real_backend.store, wakeups, Seats(200, 200))
    jobs = [worker.submit() for _ in range(8)]
    said = [f"t{n} " for n in range(30)]
    began = time.monotonic()
    with ThreadPoolExecutor(120) as pool:
        readers = [pool.submit(tokens_until_done, follower, job) for job in jobs for _ in range(8)]
        writers = [worker.take(job) for job in jobs]
        for n, token in enumerate(said):
            for writer in writers:
                worker.say(writer, token)
            if n % 3 == 0:
                real_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        real_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        for writer in writers:
            worker.say(writer, COMPLETED)
        assert all(reader.result(LONG_S) == said for reader in readers)
    assert time.monotonic() - began < LONG_S / 2, "some reader slept until its wait was over"


def test_subscribing_from_many_threads_at_once_is_sound(
    real_client: RedisClient, real_backend: Backend, wakeups: Wakeups
) -> None:
    """A hundred threads that subscribe in one moment, each to its own job, are each woken by that job's news."""
    worker = ScriptedWorker(real_backend)
    jobs = [worker.submit() for _ in range(100)]
    together = threading.Barrier(len(jobs))

    def is_woken(job_id: str) -> bool:
        together.wait(30)
        with wakeups.subscribed([job_id], 10) as woken:
            woken.clear()
            worker.take(job_id)
            return woken.wait(10)

    with ThreadPoolExecutor(len(jobs)) as pool:
        assert all(pool.map(is_woken, jobs))
    assert len(real_client.client_list(_type="pubsub")) == 1, "one connection a process"


def test_a_channel_outlives_its_waiter_for_a_moment_only(real_client: RedisClient, real_backend: Backend) -> None:
    """The next poll of the same reader finds its channel live; a reader that went away leaves nothing behind."""
    wakeups = Wakeups(real_client, idle_s=1.0)
    job_id = ScriptedWorker(real_backend).submit()
    with wakeups.subscribed([job_id], 5):
        assert subscribers(real_client, job_id) == 1
    assert subscribers(real_client, job_id) == 1
    eventually(lambda: subscribers(real_client, job_id) == 0)
    with wakeups.subscribed([job_id], 5):
        assert subscribers(real_client, job_id) == 1
    wakeups.close()
    wakeups.join(5)


def test_closing_wakes_everybody_and_lets_nobody_wait_again(real_backend: Backend, wakeups: Wakeups) -> None:
    """A process that goes answers its waiting polls at once."""
    follower = Follower(real_backend.store, wakeups, Seats(200, 200))
    job_id = ScriptedWorker(real_backend).submit()

    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(waited, follower, job_id) for _ in range(5)]
        eventually(lambda: subscribers(real_backend.store.client, job_id) == 1)
        wakeups.close()
        assert [batch.result(5).tokens for batch in waiting] == [[]] * 5
        assert pool.submit(waited, follower, job_id).result(5).tokens == []


def test_without_redis_a_wait_is_refused_and_afterwards_works_again() -> None:
    """An outage is told within two seconds; who waits through none of it needs to reconnect nothing."""
    with ValkeyServer(is_durable=True) as server:
        client = server.connect(timeout_s=0.9)
        backend = wire(client, client, load_settings({}))
        wakeups = Wakeups(client)
        worker, follower = ScriptedWorker(backend), Follower(backend.store, wakeups, Seats(200, 200))
        job_id = worker.submit()
        with wakeups.subscribed([job_id], 5) as woken:
            woken.clear()
            server.kill()
            assert woken.wait(5), "who waited must look again"
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                waited(follower, job_id)
            with pytest.raises(StoreUnavailable), wakeups.subscribed([worker_less_job()], 1.5):
                pass
            assert time.monotonic() - began < 4
        server.start()
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(tokens_until_done, follower, job_id)
            eventually(lambda: subscribers(client, job_id) == 1)
            worker.answer(job_id, "a", "b")
            assert reader.result(10) == ["a", "b"]
        wakeups.close()
        wakeups.join(5)
        client.close()


def test_a_connection_that_fell_silent_is_replaced(valkey_url: str, real_backend: Backend) -> None:
    """A host that vanished without a word is noticed by its silence, and who waits is woken."""
    proxy = FrozenProxy(valkey_url.removeprefix("unix://"))
    client = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5)
    wakeups = Wakeups(client, dead_after_s=1.0)
    worker = ScriptedWorker(real_backend)
    job_id = worker.submit()
    with wakeups.subscribed([job_id], 5) as woken:
        woken.clear()
        proxy.freeze()
        worker.take(job_id)
        assert woken.wait(10)
        woken.clear()
        news = live_channel(job_id)
        eventually(lambda: real_backend.store.client.publish(news, "2\n") and woken.is_set(), what="news comes again")
    wakeups.close()
    wakeups.join(5)
    client.close()
    proxy.close()


def worker_less_job() -> str:
    """An id that no job has."""
    return "0" * 26
