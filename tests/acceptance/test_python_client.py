"""The Python client with the whole product."""

import os
import signal
from pathlib import Path

from tests.acceptance.running import Up, running_up
from tokentail.client import Client
from tokentail.jobs.job import Status


def test_ask_gives_the_whole_answer(shared_up: Up) -> None:
    """The shortest use."""
    with Client(shared_up.url) as client:
        answer = client.ask("Why is the sky blue?", max_tokens=20)
        assert answer == client.text(next(client.jobs(limit=1)).id)
        assert "demo" in client.models().names


def test_a_killed_worker_is_told_as_a_reset(tmp_path: Path) -> None:
    """What was read is void; what comes after it is the whole answer."""
    with (
        running_up(tmp_path, "--model", "demo?tokens=60&tps=20", TOKENTAIL_LEASE_S="2") as up,
        Client(up.url) as client,
    ):
        job = client.submit("hello")
        text, resets, is_killed = "", 0, False
        for update in client.follow(job.id):
            text = update.applied_to(text)
            resets += update.is_reset
            if text and not is_killed:
                os.kill(up.children()["worker"], signal.SIGKILL)
                is_killed = True
        assert update.status is Status.COMPLETED
        assert resets == 1
        assert text == client.text(job.id)
