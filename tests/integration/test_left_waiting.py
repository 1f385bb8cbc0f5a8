"""A suspect that a real worker leaves waiting comes back to it by the sweep."""

import os
import subprocess
import sys

from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Status
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.redis.backend import now_ms, wire
from tokentail.redis.client import RedisClient


def test_jobs_on_their_last_try_run_one_after_the_other(real_client: RedisClient, valkey_url: str) -> None:
    """Both come to their end, though the worker has the slots to run them side by side."""
    limits = {"TOKENTAIL_MAX_LOSSES": "2"}
    backend = wire(real_client, real_client, load_settings(limits))
    submitter = Submitter(backend.store, backend.queue, backend.admission, now_ms)
    request = parse_request(b'{"prompt": "why"}')
    job_ids = [submitter.submit("", request, "demo?tokens=20&tps=20", None).job_id for _ in range(2)]
    for job_id in job_ids:
        assert backend.store.claim(job_id, "lost", "w0", now_ms())
        backend.sweeper.take_back(backend.store.view(job_id))
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": valkey_url, **limits}
    worker = subprocess.Popen([sys.executable, "-m", "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        eventually(
            lambda: all(backend.store.view(job_id).status.is_closed for job_id in job_ids),
            within_s=40,
            what="both have ended",
        )
    finally:
        worker.kill()
        worker.wait()
    first, second = sorted((backend.store.view(job_id) for job_id in job_ids), key=lambda job: job.ended_at_ms or 0)
    assert (first.status, second.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (first.attempts, second.attempts) == (2, 2), "the one that was lost, and one more"
    assert (first.ended_at_ms or 0) <= (second.first_token_at_ms or 0), "never side by side"
