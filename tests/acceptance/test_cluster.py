"""The whole product on a Cluster, its queue on one server: real processes, and every call that looks at many jobs."""

from collections.abc import Iterator

import pytest
import requests

from tests.acceptance.running import Up, running_up, wait_for_end
from tests.cluster_server import ClusterServer
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `tokentail up` with its logs on a Cluster."""
    (port,) = free_ports(1)
    with ClusterServer() as cluster, ValkeyServer(port=port):
        queue = f"redis://127.0.0.1:{port}"
        model, folder = ("--model", "demo?tokens=20&tps=100"), tmp_path_factory.mktemp("up")
        with running_up(folder, *model, TOKENTAIL_BUFFER_URL=cluster.url, TOKENTAIL_QUEUE_URL=queue) as up:
            yield up


def test_jobs_are_answered_listed_stopped_and_erased(on_cluster: Up) -> None:
    """The jobs' keys are on all nodes; each job ends as on one server."""
    jobs = [on_cluster.submit(prompt=f"{i}") for i in range(12)]
    assert {wait_for_end(on_cluster, job_id, within_s=30) for job_id in jobs} == {"completed"}
    for job_id in jobs:
        body = on_cluster.get(f"/v1/jobs/{job_id}/tokens")
        assert (len(body["tokens"]), body["done"]) == (20, True)
    assert {job["id"] for job in on_cluster.get("/v1/jobs", limit=50)["jobs"]} >= set(jobs)
    slow = on_cluster.submit(prompt="slow", model="demo?tokens=1000&tps=1")
    assert requests.post(f"{on_cluster.url}/v1/jobs/{slow}/cancel", timeout=10).status_code == 200
    assert on_cluster.status(slow) == "cancelled"
    assert requests.delete(f"{on_cluster.url}/v1/jobs/{jobs[0]}", timeout=10).status_code == 204
    assert requests.get(f"{on_cluster.url}/v1/jobs/{jobs[0]}", timeout=10).status_code == 410


def test_operators_see_the_whole_cluster(on_cluster: Up) -> None:
    """Readiness, the overview and the metrics count what is on all nodes."""
    assert on_cluster.get("/readyz")["workers"] == 1
    assert on_cluster.get("/v1/overview")["state"] == "good"
