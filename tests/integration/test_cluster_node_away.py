"""A real Cluster of which one node is killed, each in turn: what is on the others works, and the lost node is named."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import gevent
import pytest

from tests.cluster_server import ClusterServer
from tests.contract.runner_harness import RunnerHarness
from tests.http_harness import HttpHarness, assert_problem, json_of, open_harness
from tests.loopback import LoopThread
from tests.sentinel_fleet import SentinelFleet
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.jobs.sweep import Sweeper, SweepLimits
from tokentail.redis.backend import now_ms, wire
from tokentail.redis.census import take_census
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import record_of
from tokentail.redis.preflight import judge
from tokentail.redis.round_trip import RoundTrip


@dataclass
class Site:
    """A web process, the address of the lost node, the jobs made before, and a key that stands for a lost one."""

    harness: HttpHarness
    node: str
    lost: set[str]
    others: set[str]
    key: str
    late_s: float  # the longest time that a token of another node's job took to a poll that waited before the kill
    refused: int = 0


@pytest.fixture(scope="module", params=[0, 1, 2])
def site(request: pytest.FixtureRequest, valkey_server: ValkeyServer | SentinelFleet) -> Iterator[Site]:
    """A node is killed while polls wait for tokens of running jobs, which the other nodes have."""
    with (
        ClusterServer(3, "--cluster-require-full-coverage", "no") as server,
        closing(server.connect(timeout_s=2.0)) as client,
        closing(valkey_server.connect()) as queue,
        LoopThread() as loop_thread,
        ThreadPoolExecutor(64) as readers,
    ):
        queue.flushall()
        harness = open_harness(wire(client, queue, load_settings({})), loop_thread, server.url)
        port = server.primaries[request.param]
        jobs: dict[str, str] = {}  # by id, each with its Idempotency-Key
        lost: set[str] = set()
        while len(lost) < 2 or len(jobs) - len(lost) < 2:
            key = f"k{len(jobs)}"
            job_id = json_of(harness.submit(Idempotency_Key=key))["id"]
            jobs[job_id] = key
            node = client.node_of(record_of(job_id))
            lost |= {job_id} if node is not None and node.port == port else set()
        writers = [harness.worker.take(job_id) for job_id in jobs if job_id not in lost]
        polls = [readers.submit(harness.poll, writer.job_id, "wait=20") for writer in writers]
        eventually(lambda: harness.waits() == len(polls), what="the polls wait")
        server.nodes[port].kill()
        killed_at = time.monotonic()
        for writer in writers:
            harness.worker.say(writer, "still")
        assert [poll.result(20)["tokens"] for poll in polls] == [["still"]] * len(polls)
        late_s = time.monotonic() - killed_at
        yield Site(harness, f"127.0.0.1:{port}", lost, set(jobs) - lost, jobs[min(lost)], late_s)
        harness.close()
        queue.flushall()


def test_polls_of_the_other_nodes_jobs_are_not_late(site: Site) -> None:
    """Polls that wait when the node is lost, and later ones."""
    assert site.late_s < 1.0
    began = time.monotonic()
    for job_id in site.others:
        assert site.harness.poll(job_id, "wait=20")["tokens"] == ["still"]
    assert time.monotonic() - began < 1.0


def test_new_jobs_are_put_on_the_nodes_that_answer(site: Site) -> None:
    """The first submission that meets the fault may be refused, and none after it, with a new key or without one."""
    asked: list[dict[str, str]] = [{}] * 12 + [{"Idempotency_Key": f"new{i}"} for i in range(12)]
    statuses = [site.harness.submit(None, **headers).status_code for headers in asked]
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
    """New requests, and those of which the client says that it sends them again."""
    bodies = [{"model": "demo", "input": f"{i}", "background": True} for i in range(6)]
    for headers in ({}, {"X-Stainless-Retry-Count": "1"}):
        post = partial(site.harness.post, "/openai/v1/responses", headers=headers)
        assert [post(json=body).status_code for body in bodies] == [200] * 6


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
    """Readiness, the overview, the verdict, the census and the memory that is used."""
    ready = site.harness.get("/readyz")
    assert (ready.status_code, json_of(ready)["workers"]) == (200, 1)
    assert site.node in str(json_of(ready)["warning"])
    assert site.node in str(json_of(site.harness.get("/v1/overview"))["reasons"])
    store, client = site.harness.backend.store, site.harness.backend.buffer_client
    assert [site.node in warning for warning in judge(client).warnings] == [True]
    census = take_census(client, 5)
    assert census.server["silent"] == [site.node]
    assert set(census.jobs) >= site.others
    assert site.harness.backend.memory_used() == 0.0, "the nodes have no limit, and are asked"
    with pytest.raises(StoreUnavailable, match=site.node), redis_errors():
        client.ping()
    assert store.newest(lambda _: True, None, 5, 0, now_ms(), {}).missing <= len(site.lost) + site.refused


def test_the_sweep_looks_after_the_other_nodes_jobs(site: Site) -> None:
    """Though jobs of the lost node are to be looked at, and one of them is to be ended for want of readers."""
    backend, begun_ms, swept = site.harness.backend, now_ms(), list[int]()
    clock = [begun_ms]
    limits = SweepLimits(max_losses=3, queue_timeout_s=3600, missing_after_s=1)
    parts = (backend.store, backend.queue, backend.admission, backend.fleet, backend.observer)
    sweeper = Sweeper(*parts, limits, lambda: clock[0], [swept.append])
    trip = RoundTrip(backend.store.client)
    backend.store.watch_readers(trip, min(site.lost), 1000, begun_ms)
    trip.send()
    job_id = site.harness.submitted()
    for each in (job_id, *site.lost):
        backend.queue.discard(each, 1)
    clock[0] += 10_000
    with pytest.raises(StoreUnavailable, match=site.node):
        sweeper.sweep()
    assert job_id in backend.queue.waiting()
    assert not site.lost & set(backend.queue.waiting())
    assert swept == clock


def test_a_lost_node_s_waiting_job_takes_no_slot_of_a_worker(site: Site) -> None:
    """Such jobs would hold all slots until the node is back, and with them the other nodes' jobs."""
    runner = RunnerHarness(site.harness.backend, lambda: iter(()))
    assert runner.run(min(site.lost)) == "refused"
    gevent.killall(runner.greenlets)
