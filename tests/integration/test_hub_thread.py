"""The hub of a server's threads, over a real Valkey: whatever happens to the connection, a waiting reader is woken."""

import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from app.http.response import Response
from app.reading.hub import Hub
from app.reading.hub_thread import HubThread
from app.reading.steps import Follow, HandlerSteps, Head, Read, RunBlocking, Send, Stream, Wait, read_or_wait
from app.wiring import wire_calls
from tests.integration.frozen_proxy import FrozenProxy
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING, Cursor
from tokentail.log.element import decode
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import AsyncRedisClient, RedisClient, connect_async
from tokentail.redis.keys import live_channel

LONG_S = 60.0  # a wait that only a lost wake-up would make full use of
THREADS = {"TOKENTAIL_WEB_THREADS": "256"}


@pytest.fixture
def real_backend(real_client: RedisClient) -> Backend:
    return wire(real_client, real_client, load_settings({}))


@contextmanager
def hub_of(url: str, backend: Backend, **settings: str) -> Iterator[HubThread]:
    """A hub on the Redis at this URL, stopped at the end."""
    loaded = load_settings({**THREADS, **settings})
    hub = HubThread(loaded, lambda: connect_async(url, 0.9), wire_calls(loaded, backend).open_tails)
    yield hub
    hub.stop(5)


@pytest.fixture
def hub(valkey_url: str, real_backend: Backend) -> Iterator[HubThread]:
    with hub_of(valkey_url, real_backend) as hub:
        yield hub


def subscribers(client: RedisClient, job_id: str) -> int:
    """How many connections the server has on a job's channel."""
    return int(client.pubsub_numsub(live_channel(job_id))[0][1])


def waited(hub: HubThread, job_id: str, cursor: Cursor = BEGINNING) -> Batch:
    """What one long poll gets."""
    return hub.drive(read_or_wait(Follow("", job_id, cursor, 1000), LONG_S, 0, time.monotonic), "")


def tokens_until_done(hub: HubThread, job_id: str) -> list[str]:
    """What a client of long polls reads."""
    cursor = BEGINNING
    tokens: list[str] = []
    while True:
        batch = waited(hub, job_id, cursor)
        if batch.is_reset:
            tokens.clear()
        tokens += [decode(token) for token in batch.tokens]
        if batch.is_done:
            return tokens
        cursor = batch.cursor


def test_news_wakes_every_waiter_of_its_job_and_no_other(real_backend: Backend, hub: HubThread) -> None:
    """A job's news is for those who wait for that job."""
    worker = ScriptedWorker(real_backend)
    ours, other = worker.submit(), worker.submit()
    with ThreadPoolExecutor(3) as pool:
        first, second, foreign = (pool.submit(waited, hub, job_id) for job_id in (ours, ours, other))
        eventually(lambda: hub.waits == 3, what="all wait")
        worker.answer(ours, "a")
        assert [reader.result(5).tokens for reader in (first, second)] == [[b'"a"']] * 2
        assert hub.waits == 1
        assert not foreign.done()
        worker.answer(other, "b")
        assert foreign.result(5).tokens == [b'"b"']


def test_killing_the_connection_under_many_waiters_loses_no_news(
    real_client: RedisClient, real_backend: Backend, hub: HubThread
) -> None:
    """However often the subscription's connection is killed, no reader sleeps through a token or the end."""
    worker = ScriptedWorker(real_backend)
    jobs = [worker.submit() for _ in range(8)]
    said = [f"t{n} " for n in range(30)]
    with ThreadPoolExecutor(120) as pool:
        readers = [pool.submit(tokens_until_done, hub, job) for job in jobs for _ in range(8)]
        writers = [worker.take(job) for job in jobs]
        for n, token in enumerate(said):
            for writer in writers:
                worker.say(writer, token)
            if n % 3 == 0:
                real_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        real_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        for writer in writers:
            worker.say(writer, COMPLETED)
        until = time.monotonic() + LONG_S / 2
        for reader in readers:
            assert reader.result(max(until - time.monotonic(), 0.1)) == said
    assert hub.waits == 0


def test_waiting_for_many_jobs_from_many_threads_at_once_is_sound(
    real_client: RedisClient, real_backend: Backend, hub: HubThread
) -> None:
    """A hundred threads that wait in one moment, each for its own job, are each woken by that job's news."""
    worker = ScriptedWorker(real_backend)
    jobs = [worker.submit() for _ in range(100)]
    together = threading.Barrier(len(jobs))

    def read(job_id: str) -> list[str]:
        together.wait(30)
        return tokens_until_done(hub, job_id)

    with ThreadPoolExecutor(len(jobs)) as pool:
        readers = [pool.submit(read, job_id) for job_id in jobs]
        eventually(lambda: hub.waits == len(jobs), within_s=20, what="all wait")
        for job_id in jobs:
            worker.answer(job_id, job_id)
        assert [reader.result(20) for reader in readers] == [[job_id] for job_id in jobs]
    assert len(real_client.client_list(_type="pubsub")) == 1, "one connection a process"


def test_closing_wakes_every_reader_and_lets_none_wait_again(real_backend: Backend, hub: HubThread) -> None:
    """A process that stops answers its waiting polls at once."""
    job_id = ScriptedWorker(real_backend).submit()
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(waited, hub, job_id) for _ in range(5)]
        eventually(lambda: hub.waits == 5)
        hub.close()
        assert [batch.result(5).tokens for batch in waiting] == [[]] * 5
        assert pool.submit(waited, hub, job_id).result(5).tokens == []


def test_no_more_threads_wait_than_may(valkey_url: str, real_backend: Backend) -> None:
    """Of four threads two may wait; a third reader, of any owner, is answered at once."""
    job_id = ScriptedWorker(real_backend).submit()
    with hub_of(valkey_url, real_backend, TOKENTAIL_WEB_THREADS="4") as hub, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(waited, hub, job_id) for _ in range(2)]
        eventually(lambda: hub.waits == 2, what="two wait")
        assert waited(hub, job_id).tokens == []
        assert hub.waits == 2
        hub.close()
        assert [batch.result(5).tokens for batch in waiting] == [[]] * 2


def test_the_only_thread_waits_for_nothing(valkey_url: str, real_backend: Backend) -> None:
    """Under a server that serves one request at a time, a long poll is answered at once, and stops no other."""
    with hub_of(valkey_url, real_backend, TOKENTAIL_WEB_THREADS="1") as hub:
        assert waited(hub, ScriptedWorker(real_backend).submit()).tokens == []
        assert hub.waits == 0


def test_a_hub_that_is_closed_before_its_first_reader_lets_none_wait(real_backend: Backend, hub: HubThread) -> None:
    """The process was stopping before its first request: that request is answered at once."""
    hub.close()
    assert waited(hub, ScriptedWorker(real_backend).submit()).tokens == []


def test_a_hub_that_is_stopped_in_its_first_moment_ends(valkey_url: str, real_backend: Backend) -> None:
    """A process may have to stop while its first reader starts the hub: the loop ends, and the reader's call too."""
    job_id = ScriptedWorker(real_backend).submit()
    settings = load_settings(THREADS)
    open_tails = wire_calls(settings, real_backend).open_tails
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            is_starting = threading.Event()

            def connect(is_starting: threading.Event = is_starting) -> AsyncRedisClient:
                is_starting.set()
                return connect_async(valkey_url, 0.9)

            hub = HubThread(settings, connect, open_tails)
            reader = pool.submit(waited, hub, job_id)
            assert is_starting.wait(20)
            assert hub.stop(20)
            assert reader.exception(20) is None or isinstance(reader.exception(), StoreUnavailable)
            assert hub.stop(20), "when the first stop came before the hub"


def test_without_redis_a_wait_is_refused_and_afterwards_works_again() -> None:
    """In an outage readers receive the error; afterwards the same hub wakes them again."""
    with ValkeyServer(is_durable=True) as server:
        client = server.connect(timeout_s=0.9)
        backend = wire(client, client, load_settings({}))
        worker = ScriptedWorker(backend)
        job_id = worker.submit()
        with hub_of(server.url, backend) as hub, ThreadPoolExecutor(1) as pool:
            reader = pool.submit(waited, hub, job_id)
            eventually(lambda: subscribers(client, job_id) == 1)
            server.kill()
            with pytest.raises(StoreUnavailable):
                reader.result(10)
            for each in (job_id, "0" * 26):
                with pytest.raises(StoreUnavailable):
                    waited(hub, each)
            server.start()
            again = pool.submit(tokens_until_done, hub, job_id)
            eventually(lambda: subscribers(client, job_id) == 1)
            worker.answer(job_id, "a", "b")
            assert again.result(10) == ["a", "b"]
        client.close()


def test_a_connection_that_fell_silent_wakes_its_readers(valkey_url: str, real_backend: Backend) -> None:
    """A host that vanished without a word is noticed by its silence, and a waiting reader reads what it missed."""
    proxy = FrozenProxy(valkey_url.removeprefix("unix://"))
    worker = ScriptedWorker(real_backend)
    job_id = worker.submit()
    with hub_of(f"redis://127.0.0.1:{proxy.port}", real_backend) as hub, ThreadPoolExecutor(1) as pool:
        reader = pool.submit(tokens_until_done, hub, job_id)
        eventually(lambda: hub.waits == 1 and subscribers(real_backend.store.client, job_id) == 1)
        proxy.freeze()
        worker.answer(job_id, "missed")
        assert reader.result(LONG_S / 2) == ["missed"]
    proxy.close()


def test_steps_that_block_run_in_the_callers_thread(hub: HubThread) -> None:
    """A connection that belongs to the caller's thread stays there; the loop is never blocked."""

    def steps() -> HandlerSteps[tuple[int, int]]:
        blocking = yield RunBlocking(threading.get_ident)
        return blocking, threading.get_ident()

    assert hub.drive(steps(), "") == (threading.get_ident(), threading.get_ident())
    assert hub.drive(steps(), "") == (threading.get_ident(), threading.get_ident()), "and starts no loop for it"


def test_an_open_stream_has_a_place_until_it_is_closed(real_backend: Backend, valkey_url: str) -> None:
    """A stream counts from its beginning; one that the server closes early, or never reads, gives its place back."""
    job_id = ScriptedWorker(real_backend).submit()

    def stream() -> Stream:
        yield Read("", job_id, BEGINNING, 10)
        yield Head(Response(200))
        yield Send(b"a")
        is_waiting = yield Wait((job_id,), 0.01)
        yield Send(b"waited" if is_waiting else b"not")

    with hub_of(valkey_url, real_backend, TOKENTAIL_MAX_KEY_WAITS="1", TOKENTAIL_API_KEYS="k") as hub:
        first: Generator[Any, None, None] = hub.others(stream(), "k")
        second: Generator[Any, None, None] = hub.others(stream(), "k")
        assert isinstance(next(first), Head)
        assert isinstance(next(second), Head)
        assert hub.waits == 1, "the second found no place"
        assert [part.content for part in second] == [b"a", b"not"]
        assert hub.waits == 1
        first.close()
        eventually(lambda: hub.waits == 0)


def test_a_request_that_its_server_gives_up_frees_its_place(real_backend: Backend, hub: HubThread) -> None:
    """A server may end a thread's wait by an exception, at its stop: the reader's place is free again."""
    job_id = ScriptedWorker(real_backend).submit()

    class GivenUp(BaseException):
        pass

    def interrupted(hub_thread: HubThread) -> None:
        async def waits(hub: Hub) -> None:
            with hub.place("someone"):
                await hub.tails.read(job_id, BEGINNING, 1)
                waiter = hub.tails.waiter([(job_id, hub.tails.version(job_id))])
                assert waiter is not None
                os.kill(os.getpid(), signal.SIGUSR1)
                await waiter

        hub_thread.run(waits)

    def give_up(*_: object) -> None:
        raise GivenUp

    before = signal.signal(signal.SIGUSR1, give_up)
    try:
        with pytest.raises(GivenUp):
            interrupted(hub)
    finally:
        signal.signal(signal.SIGUSR1, before)
    eventually(lambda: hub.waits == 0, what="its place is free")
