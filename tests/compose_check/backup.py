"""Backup and restore of a project's data, by the commands of docs/deployment.md."""

import time
import uuid
from typing import Any

import requests

from tests.compose_check.faults import WORKERS, documented
from tests.compose_check.project import Project
from tests.waiting import eventually


def back_up_and_restore(project: Project, to_restore: str) -> str:
    """Raise AssertionError where the restored project does not answer as the one that was backed up.

    `to_restore` is what stands before the commands that restore such a project.
    """
    before = _answered(project)
    began = time.monotonic()
    project.shell("\n".join(documented("make one, stop")))
    project.ready(WORKERS)
    backed_up_s = time.monotonic() - began
    after = _answered(project)
    assert _poll(project, before)["status"] == "completed"
    text = _poll(project, before)
    began = time.monotonic()
    project.shell("\n".join(documented(to_restore)))
    project.ready(WORKERS)
    assert _poll(project, before) == text
    assert _ask(project, "GET", f"/v1/jobs/{after}").status_code == 404
    _answered(project)
    took = f"away for {backed_up_s:.0f} s and {time.monotonic() - began:.0f} s"
    return f"backup and restore: the job of before reads the same, the job of after is unknown; {took}"


def _answered(project: Project) -> str:
    """A job that has completed."""
    marker = uuid.uuid4().int % 10**9
    reply = _ask(project, "POST", "/v1/jobs", {"prompt": f"{marker} 20 10"})
    assert reply.status_code == 202, reply.text
    job_id = str(reply.json()["id"])
    eventually(lambda: _poll(project, job_id)["done"], within_s=60, what="the job ends")
    return job_id


def _poll(project: Project, job_id: str) -> Any:
    reply = _ask(project, "GET", f"/v1/jobs/{job_id}/tokens")
    assert reply.status_code == 200, reply.text
    return reply.json()


def _ask(project: Project, method: str, path: str, body: object = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {project.key}"}
    return requests.request(method, f"http://127.0.0.1:{project.port}{path}", json=body, headers=headers, timeout=20)
