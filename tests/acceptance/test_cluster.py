"""The whole product on a Cluster, its queue on one server: real processes, and every call that looks at many jobs."""

import json
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import requests

from tests.acceptance.running import TOKENTAIL, Up, environment, running_up, wait_for_end
from tests.cluster_server import ClusterServer
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer


class Site(NamedTuple):
    """A running product, and where its Redis is."""

    up: Up
    urls: dict[str, str]

    def run(self, *arguments: str) -> str:
        """What one command prints that looks at Redis itself."""
        argv, settings = [TOKENTAIL, *arguments], environment(TOKENTAIL_URL=self.up.url, **self.urls)
        ran = subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A `tokentail up` with its logs on a Cluster."""
    (port,) = free_ports(1)
    with ClusterServer() as cluster, ValkeyServer(port=port):
        urls = {"TOKENTAIL_BUFFER_URL": cluster.url, "TOKENTAIL_QUEUE_URL": f"redis://127.0.0.1:{port}"}
        model, folder = ("--model", "demo?tokens=20&tps=100"), tmp_path_factory.mktemp("up")
        with running_up(folder, *model, cwd=None, **urls) as up:
            yield Site(up, urls)


def test_jobs_are_answered_listed_stopped_and_erased(on_cluster: Site) -> None:
    """The jobs' keys are on all nodes; each job ends as on one server."""
    up = on_cluster.up
    jobs = [up.submit(prompt=f"{i}") for i in range(12)]
    assert {wait_for_end(up, job_id, within_s=30) for job_id in jobs} == {"completed"}
    for job_id in jobs:
        body = up.get(f"/v1/jobs/{job_id}/tokens")
        assert (len(body["tokens"]), body["done"]) == (20, True)
    assert {job["id"] for job in up.get("/v1/jobs", limit=50)["jobs"]} >= set(jobs)
    slow = up.submit(prompt="slow", model="demo?tokens=1000&tps=1")
    assert requests.post(f"{up.url}/v1/jobs/{slow}/cancel", timeout=10).status_code == 200
    assert up.status(slow) == "cancelled"
    assert requests.delete(f"{up.url}/v1/jobs/{jobs[0]}", timeout=10).status_code == 204
    assert requests.get(f"{up.url}/v1/jobs/{jobs[0]}", timeout=10).status_code == 410


def test_operators_see_the_whole_cluster(on_cluster: Site) -> None:
    """Readiness, the overview, the census and the doctor look at all nodes."""
    up = on_cluster.up
    assert up.get("/readyz")["workers"] == 1
    assert up.get("/v1/overview")["state"] == "good"
    jobs = [up.submit(prompt=f"{i}") for i in range(9)]
    for job_id in jobs:
        wait_for_end(up, job_id, within_s=30)
    reports = json.loads(on_cluster.run("store", "--largest", "100", "--json"))
    assert set(jobs) <= {job["id"] for report in reports for job in report["largest"]}
    assert "FAILED" not in on_cluster.run("doctor", "--no-providers")
