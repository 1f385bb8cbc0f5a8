"""A real Cluster: slots move under running jobs, and a node dies. Nothing is lost, and only a lost node's jobs wait."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import gevent
import pytest
import redis

from tests.cluster_server import ClusterServer
from tests.free_ports import free_ports
from tests.http_harness import HttpHarness, json_of, open_harness
from tests.loopback import LoopThread
from tests.scripted_worker import COMPLETED
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.errors import StoreUnavailable
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import now_ms, wire
from tokentail.redis.client import RedisClient, connect
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import ALL_JOBS, live_channel
from tokentail.redis.preflight import judge
from worker.meters import NoMeters
from worker.running.group_commit import GroupCommit


class Site:
    """Jobs that are written through the group commit of a worker, and read by long polls of a web process."""

    def __init__(self, server: ClusterServer, queue: RedisClient, loop_thread: LoopThread) -> None:
        self.server = server
        self._client = server.connect(timeout_s=2.0)
        backend = wire(self._client, queue, load_settings({}))
        self.harness: HttpHarness = open_harness(backend, loop_thread, server.url)
        self._lost: list[Exception] = []
        self._commit = GroupCommit(backend.store, now_ms, lambda writer, error: self._lost.append(error), NoMeters())
        self._committing = gevent.spawn(self._commit.run)
        self._readers = ThreadPoolExecutor(16)
        self._said: dict[str, list[str]] = {}
        self.reads: dict[str, Future[tuple[str, int]]] = {}

    def begin(self, count: int) -> list[LogWriter]:
        """Jobs that have begun, each with a reader."""
        return [self._begin() for _ in range(count)]

    def _begin(self) -> LogWriter:
        job_id = self.harness.submitted()
        writer = self.harness.worker.begin(job_id)
        self._said[job_id] = []
        self.reads[job_id] = self._readers.submit(read_to_end, self.harness, job_id)
        self.say([writer])
        return writer

    def say(self, writers: list[LogWriter], more: str = "") -> None:
        """A token of each, which leaves as soon as its node takes it."""
        for writer in writers:
            token = f"{len(self._said[writer.job_id])} {more}"
            self._said[writer.job_id].append(token)
            writer.write(token)
            self._commit.push(writer)
        gevent.sleep(0.001)

    def flush(self, writers: list[LogWriter], within_s: float = 20.0) -> None:
        """Return when the store has all that these wrote."""
        with gevent.Timeout(within_s):
            for writer in writers:
                self._commit.flush(writer)

    def end(self, writers: list[LogWriter]) -> None:
        """End all; each reader must have every token once and in order."""
        for writer in writers:
            writer.write(COMPLETED)
        self.flush(writers)
        read = {writer.job_id: self.reads[writer.job_id].result(20)[0] for writer in writers}
        assert read == {writer.job_id: "".join(self._said[writer.job_id]) for writer in writers}
        assert not self._lost

    def close(self) -> None:
        self._committing.kill()
        self.harness.close()
        self._readers.shutdown(wait=False)
        self._client.close()


def read_to_end(harness: HttpHarness, job_id: str) -> tuple[str, int]:
    """What a client has that long-polls until the job is done, and how often it was refused."""
    text, cursor, refused = "", "0", 0
    while True:
        answer = harness.get(f"/v1/jobs/{job_id}/tokens?cursor={cursor}&wait=5")
        if answer.status_code == 503:
            refused += 1
            continue
        body = json_of(answer)
        text = "".join(([] if body["reset"] else [text]) + body["tokens"])
        cursor = body["cursor"]
        if body["done"]:
            return text, refused


@pytest.fixture
def open_site(real_client: RedisClient) -> Iterator[Callable[[ClusterServer], Site]]:
    """`open_site(server)`: a site on this Cluster, with its queue on the session's Valkey."""
    opened: list[Site] = []
    with LoopThread() as loop_thread:

        def make(server: ClusterServer) -> Site:
            opened.append(Site(server, real_client, loop_thread))
            return opened[-1]

        yield make
        for site in opened:
            site.close()


def test_slots_that_move_key_by_key_lose_nothing(
    open_site: Callable[[ClusterServer], Site], cluster_server: ClusterServer, cluster_client: RedisClient
) -> None:
    """While a job's keys are on two nodes, its appends wait; those of other jobs go on."""
    site = open_site(cluster_server)
    writers = site.begin(6)
    moving, others = writers[:2], writers[2:]

    def go_on() -> None:
        site.say(writers)
        site.flush(others)

    for writer in moving:
        before = cluster_server.owner(writer.job_id)
        cluster_server.migrate_keys(writer.job_id, between=go_on)
        assert cluster_server.owner(writer.job_id) != before
        go_on()
    site.end(writers)


def test_slots_that_move_all_at_once_lose_nothing(
    open_site: Callable[[ClusterServer], Site], cluster_server: ClusterServer, cluster_client: RedisClient
) -> None:
    """As Valkey 9 moves them: clients learn of it by their next command, and readers hear of news at the new node."""
    site = open_site(cluster_server)
    writers = site.begin(8)
    for source, target in (cluster_server.primaries[:2], cluster_server.primaries[1::-1]):  # there, and back
        first, last = cluster_server.slots_of(source)
        cluster_server.migrate_slots(source, target, first, last - 1)
        for _ in range(5):
            site.say(writers)
            site.flush(writers)
    site.end(writers)


def test_a_large_append_is_read_though_its_message_is_small(
    open_site: Callable[[ClusterServer], Site], cluster_server: ClusterServer, cluster_client: RedisClient
) -> None:
    """The nodes pass messages on to each other: large ones would fill the links between them."""
    site = open_site(cluster_server)
    (writer,) = site.begin(1)
    owner = cluster_server.owner(writer.job_id)
    assert owner is not None
    other = next(port for port in cluster_server.primaries if port != owner)
    with redis.Redis(port=other) as at_another, at_another.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(live_channel(writer.job_id))
        heard.get_message(timeout=5)
        site.say([writer], "x" * 20_000)
        site.flush([writer])
        message = heard.get_message(timeout=5)
    assert message is not None
    assert len(message["data"]) < 100
    site.end([writer])


def test_a_lost_node_s_jobs_wait_and_the_others_go_on(open_site: Callable[[ClusterServer], Site]) -> None:
    """Without full coverage. A replica takes over, and what it lacks of the running jobs is put back."""
    with ClusterServer(3, "--cluster-require-full-coverage", "no", replicas=1) as server:
        site = open_site(server)
        writers = site.begin(9)
        victim = server.owner(writers[0].job_id)
        assert victim is not None
        lost = [writer for writer in writers if server.owner(writer.job_id) == victim]
        others = [writer for writer in writers if writer not in lost]
        server.nodes[victim].kill()
        for _ in range(5):
            site.say(writers)
            site.flush(others)
        for writer in others:
            assert site.harness.poll(writer.job_id)["tokens"], "no 503, and nothing missing"
        eventually(lambda: server.owner(lost[0].job_id) not in {None, victim}, within_s=30, what="a replica took over")
        site.flush(lost)
        site.end(writers)
        assert all(site.reads[writer.job_id].result()[1] == 0 for writer in others), "their readers were not refused"


def test_jobs_that_the_queue_s_server_forgot_are_found_by_their_records(
    cluster_client: RedisClient, real_client: RedisClient
) -> None:
    """That server has the indexes, too. After a loss, the next sweep counts and lists every open job again."""
    backend = wire(cluster_client, real_client, load_settings({}))
    harness = open_harness(backend, None, "")
    job_id = harness.submitted()
    backend.sweeper.sweep()
    assert not cluster_client.exists(ALL_JOBS), "nothing but jobs is on the Cluster"
    real_client.flushall()
    backend.sweeper.sweep()
    assert [open_id for open_id, _ in backend.admission.open_jobs()] == [job_id]
    assert [job["id"] for job in json_of(harness.get("/v1/jobs"))["jobs"]] == [job_id]
    harness.close()


def test_a_cluster_is_judged_node_by_node(cluster_client: RedisClient, cluster_server: ClusterServer) -> None:
    """A good one has no fault; one node alone, and a server that is no Cluster, are named in a sentence."""
    verdict = judge(cluster_client)
    assert (verdict.faults, verdict.warnings) == ((), ())
    assert len(verdict.notes) == 3, "none of the nodes keeps anything on disk"
    with connect(f"redis://127.0.0.1:{cluster_server.primaries[0]}", timeout_s=5) as one:
        (fault,) = judge(one).faults
        assert "redis+cluster://" in fault
    (port,) = free_ports(1)
    with ValkeyServer(port=port), connect(f"redis+cluster://127.0.0.1:{port}", timeout_s=5) as single:
        (fault,) = judge(single).faults
        assert "is no Cluster" in fault
    with connect(f"redis+cluster://127.0.0.1:{port}", timeout_s=5) as away, pytest.raises(StoreUnavailable):
        judge(away)


def test_keys_of_all_nodes_are_counted_and_searched(cluster_client: RedisClient) -> None:
    """The census and the rebuilding of indexes look at every key there is."""
    names = {f"k{i}" for i in range(60)}
    with redis_errors(), closing(cluster_client):
        for name in names:
            cluster_client.set(name, "x")
        assert {key.decode() for key in cluster_client.scan_iter()} == names
