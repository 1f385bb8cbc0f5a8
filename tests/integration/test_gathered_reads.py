"""Reads of coroutines gather: a crowd that comes at once costs a connection and a few round trips, not one each."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.reading.async_store import AsyncStore
from tests.scripted_worker import ScriptedWorker
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.errors import JobNotFound, StoreUnavailable
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient, connect_async


@pytest.fixture
def backend(real_client: RedisClient) -> Backend:
    """On the real store."""
    return wire(real_client, real_client, load_settings({}))


def run(url: str, ask: Callable[[AsyncStore], Coroutine[Any, Any, Any]]) -> Any:
    """What these coroutines give, on one store."""

    async def asked() -> Any:
        client = connect_async(url, 0.9)
        try:
            return await ask(AsyncStore(client))
        finally:
            await client.connection_pool.disconnect()

    return asyncio.run(asked())


def connections_made(client: RedisClient) -> int:
    return int(client.info("stats")["total_connections_received"])


def test_a_crowd_takes_one_connection(backend: Backend, real_client: RedisClient, valkey_url: str) -> None:
    """Five hundred readers of as many jobs, at once; each gets its own."""
    worker = ScriptedWorker(backend)
    jobs = [worker.submit() for _ in range(500)]
    before = connections_made(real_client)

    async def ask(store: AsyncStore) -> list[Batch]:
        return await asyncio.gather(*(store.read(job_id, BEGINNING, 10) for job_id in jobs))

    assert [batch.job_id for batch in run(valkey_url, ask)] == jobs
    assert connections_made(real_client) - before == 1


def test_each_is_told_of_its_own_job(backend: Backend, real_client: RedisClient, valkey_url: str) -> None:
    """One that is not there is no fault of the others, and a server without our scripts learns them."""
    job_id = ScriptedWorker(backend).submit()
    real_client.script_flush()

    async def ask(store: AsyncStore) -> list[Any]:
        reads = (store.read(each, BEGINNING, 10) for each in (job_id, "0" * 26, job_id))
        return await asyncio.gather(*reads, return_exceptions=True)

    first, missing, again = run(valkey_url, ask)
    assert first.job_id == again.job_id == job_id
    assert isinstance(missing, JobNotFound)


def test_who_leaves_takes_nothing_from_who_asked_the_same(backend: Backend, valkey_url: str) -> None:
    """A cancelled read does not cancel an equal read that shares its command."""
    job_id = ScriptedWorker(backend).submit()

    async def ask(store: AsyncStore) -> Batch:
        leaving, staying = (asyncio.create_task(store.read(job_id, BEGINNING, 10)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert run(valkey_url, ask).job_id == job_id


def test_an_outage_is_told_to_all_and_over_when_it_is_over() -> None:
    """Nobody waits for a read that is lost."""
    with ValkeyServer(is_durable=True) as server:
        client = server.connect()
        job_id = ScriptedWorker(wire(client, client, load_settings({}))).submit()

        async def ask(store: AsyncStore) -> list[Any]:
            assert (await store.read(job_id, BEGINNING, 10)).job_id == job_id
            await asyncio.to_thread(server.kill)
            told = await asyncio.gather(
                *(store.read(job_id, BEGINNING, limit) for limit in range(1, 20)), return_exceptions=True
            )
            await asyncio.to_thread(server.start)
            return [*told, await store.read(job_id, BEGINNING, 10)]

        *told, found = run(server.url, ask)
        assert {type(each) for each in told} == {StoreUnavailable}
        assert found.job_id == job_id
