"""A real Cluster of which one node is away for good: what is on the others works, and the lost node is named."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.cluster_server import ClusterServer
from tests.http_harness import HttpHarness, assert_problem, json_of, open_harness
from tests.sentinel_fleet import SentinelFleet
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.redis.backend import now_ms, wire
from tokentail.redis.census import take_census
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import idempotency_key
from tokentail.redis.preflight import judge


@dataclass
class Site:
    """A web process, the address of the lost node, the jobs made before, and a key that stands for a lost one."""

    harness: HttpHarness
    node: str
    lost: set[str]
    others: set[str]
    key: str
    refused: int = 0


@pytest.fixture(scope="module")
def site(valkey_server: ValkeyServer | SentinelFleet) -> Iterator[Site]:
    """The first of three nodes is killed, which has jobs and none of the indexes that submissions need."""
    with (
        ClusterServer(3, "--cluster-require-full-coverage", "no") as server,
        closing(server.connect(timeout_s=2.0)) as client,
        closing(valkey_server.connect()) as queue,
    ):
        backend = wire(client, queue, load_settings({}))
        harness = open_harness(backend, None, server.url)
        port = server.primaries[0]

        def is_lost(key: str) -> bool:
            node = client.node_of(key)
            return node is not None and node.port == port

        jobs: dict[str, str] = {}  # by id, each with its Idempotency-Key
        keys = (key for i in range(1000) if not is_lost(idempotency_key("", key := f"k{i}")))
        lost: set[str] = set()
        while len(lost) < 2 or len(jobs) - len(lost) < 2:
            key = next(keys)
            job_id = json_of(harness.submit(Idempotency_Key=key))["id"]
            jobs[job_id] = key
            lost |= {job_id} if is_lost(job_id) else set()
        server.nodes[port].kill()
        yield Site(harness, f"127.0.0.1:{port}", lost, set(jobs) - lost, jobs[min(lost)])
        harness.close()
        queue.flushall()


def test_new_jobs_are_put_on_the_nodes_that_answer(site: Site) -> None:
    """The first submission that meets the fault may be refused, and none after it."""
    statuses = [site.harness.submit().status_code for _ in range(24)]
    refused = statuses.count(503)
    site.refused = refused
    assert refused <= 1
    assert statuses.count(202) == 24 - refused
    assert 503 not in statuses[statuses.index(503) + 1 :] if refused else True
    made = {job["id"] for job in json_of(site.harness.get("/v1/jobs?limit=200"))["jobs"]}
    site.others |= made


def test_what_needs_the_lost_node_is_refused_by_its_name(site: Site) -> None:
    """A job that is there, and a key that stands for one: the client may send it again, and makes no second job."""
    for answer in (
        site.harness.get(f"/v1/jobs/{min(site.lost)}"),
        site.harness.get(f"/v1/jobs/{min(site.lost)}/tokens"),
        site.harness.submit(Idempotency_Key=site.key),
    ):
        assert site.node in assert_problem(answer, 503)["detail"]


def test_requests_through_openai_s_interfaces_are_accepted(site: Site) -> None:
    """Wherever the record is by which a repeat would be found."""
    bodies = [{"model": "demo", "input": f"{i}", "background": True} for i in range(24)]
    statuses = [site.harness.post("/openai/v1/responses", json=body).status_code for body in bodies]
    assert statuses.count(200) >= 23
    assert statuses[-5:] == [200] * 5


def test_lists_have_what_can_be_read_and_count_the_rest(site: Site) -> None:
    """Of one owner and of all; also on a page of one job, of which the next page tells the rest."""
    for path in ("/v1/jobs", "/v1/operator/jobs"):
        body = json_of(site.harness.get(f"{path}?limit=200"))
        assert {job["id"] for job in body["jobs"]} >= site.others
        assert body["missing"] == len(site.lost) + site.refused, "that was listed before it could not be made"
        assert body["next"] is None
        page: str | None = f"{path}?limit=1"
        seen, missing = 0, 0
        while page:
            one = json_of(site.harness.get(page))
            seen, missing, page = seen + len(one["jobs"]), missing + one.get("missing", 0), one["next"]
        assert (seen, missing) == (len(body["jobs"]), body["missing"])


def test_operators_see_the_nodes_that_are_left_and_the_name_of_the_lost_one(site: Site) -> None:
    """The overview, the verdict, the census and the memory that is used."""
    assert site.node in str(json_of(site.harness.get("/v1/overview"))["reasons"])
    store = site.harness.backend.store
    assert [site.node in warning for warning in judge(store.client).warnings] == [True]
    census = take_census(store.client, 5)
    assert census.server["silent"] == [site.node]
    assert set(census.jobs) >= site.others
    assert site.harness.backend.memory_used() == 0.0, "the nodes have no limit, and are asked"
    with pytest.raises(StoreUnavailable, match=site.node), redis_errors():
        store.client.ping()
    assert store.newest(lambda _: True, None, 5, 0, now_ms(), {}).missing <= len(site.lost) + site.refused
