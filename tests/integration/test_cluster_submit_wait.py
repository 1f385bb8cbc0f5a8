"""Submissions that wait until a replica has the job, on a real Cluster: the replica is one of the job's own node."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
import redis

from tests.cluster_server import ClusterServer
from tests.http_harness import HttpHarness, assert_problem, json_of, open_harness
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.config.store_use import StoreUse
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import record_of
from tokentail.redis.preflight import judge

_NOT_REPLICATED = "urn:tokentail:problem:not-replicated"


@pytest.fixture(scope="module")
def server() -> Iterator[ClusterServer]:
    """Three nodes with a replica each."""
    with ClusterServer(3, replicas=1) as server:
        yield server


def _harness(client: RedisClient, queue: RedisClient, url: str) -> HttpHarness:
    return open_harness(wire(client, queue, load_settings({})), None, url, TOKENTAIL_SUBMIT_WAIT_MS="300")


def _has(port: int, job_id: str) -> bool:
    """Whether a replica has the job."""
    with redis.Redis(port=port, single_connection_client=True) as client:
        client.execute_command("READONLY")
        return bool(client.exists(record_of(job_id)))


def test_a_submission_waits_for_a_replica_of_its_own_node(server: ClusterServer, real_client: RedisClient) -> None:
    """While the replica of one node hangs, that node's submissions are refused, with a repeat, and no others."""
    first, hanging = server.primaries[0], server.nodes[server.replicas[0]]
    with closing(server.connect()) as client:
        harness = _harness(client, real_client, server.url)
        accepted: set[str] = set()
        refused: dict[str, str] = {}  # by key

        def submit(key: str) -> None:
            answer = harness.submit(Idempotency_Key=key)
            if answer.status_code == 202:
                accepted.add(json_of(answer)["id"])
            else:
                assert assert_problem(answer, 503)["type"] == _NOT_REPLICATED
                (refused[key],) = set(harness.backend.queue.waiting()) - accepted - set(refused.values())

        def is_accepted(key: str) -> bool:
            return harness.submit(Idempotency_Key=key).status_code == 202

        for i in range(12):
            submit(f"before {i}")
        assert not refused
        hanging.pause()
        while len(refused) < 2 or len(accepted) < 18:
            submit(f"k{len(refused) + len(accepted)}")
        replica_of = dict(zip(server.primaries, server.replicas, strict=True))
        assert {server.owner(job_id) for job_id in refused.values()} == {first}
        assert all(_has(replica_of[owner], i) for i in accepted if (owner := server.owner(i)) not in {None, first})
        for key in refused:
            for node in client.servers().values():
                node.connection_pool.disconnect()  # a connection of its own has not written the job
            assert_problem(harness.submit(Idempotency_Key=key), 503)
        hanging.resume()
        for key, job_id in refused.items():
            eventually(partial(is_accepted, key), within_s=20, what="the replica has the job")
            assert json_of(harness.submit(Idempotency_Key=key))["id"] == job_id
            assert _has(server.replicas[0], job_id)
        harness.close()


def test_without_replicas_every_submission_is_refused(
    cluster_server: ClusterServer, cluster_client: RedisClient, real_client: RedisClient
) -> None:
    """As on one server: without a key the job is erased, with one it stays. The preflight names each node."""
    harness = _harness(cluster_client, real_client, cluster_server.url)
    assert assert_problem(harness.submit(), 503)["type"] == _NOT_REPLICATED
    assert harness.backend.queue.waiting() == {}
    assert list(cluster_client.scan_iter()) == []
    for _ in range(2):
        assert_problem(harness.submit(Idempotency_Key="key"), 503)
    assert len(harness.backend.queue.waiting()) == 1
    warnings = judge(cluster_client, StoreUse(awaits_replica=True)).warnings
    assert all(f":{port} has no replica" in said for port, said in zip(cluster_server.primaries, warnings, strict=True))
    harness.close()
