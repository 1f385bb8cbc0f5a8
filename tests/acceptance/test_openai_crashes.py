"""OpenAI's own Python SDK, unmodified, when processes of `tokentail up` are killed with SIGKILL."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
import requests

from tests.acceptance.running import running_up
from tests.acceptance.test_openai_python import HI, SLOW, client_of, text_of
from tests.waiting import eventually


def test_a_killed_web_process_leaves_one_job_to_the_sdks_own_repeat(tmp_path: Path) -> None:
    """The repeat takes the job that the first request made: one job, one attempt, the whole answer."""
    with running_up(tmp_path) as up, client_of(up.url, max_retries=8) as client, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.chat.completions.create, model="demo?tokens=100&tps=20", messages=HI)
        eventually(lambda: up.get("/v1/jobs")["jobs"], within_s=20, what="the job is made")
        os.kill(up.children()["app"], signal.SIGKILL)
        answer = asked.result(60)
        (job,) = up.get("/v1/jobs")["jobs"]
        assert (answer.id.partition("-")[2], job["attempts"]) == (job["id"], 1)
        assert answer.choices[0].message.content == text_of(up, answer.id)


def test_a_killed_web_process_leaves_no_job_running_for_nobody(tmp_path: Path) -> None:
    """The worker notices that nobody reads: a job that stops with its reader stops, one that was to stay goes on."""
    with running_up(tmp_path) as up, client_of(up.url, max_retries=0) as client:
        streams = [client.chat.completions.create(model=SLOW, messages=HI, stream=True, store=s) for s in (False, True)]
        left, stored = (next(stream).id.partition("-")[2] for stream in streams)
        killed_at = time.monotonic()
        os.kill(up.children()["app"], signal.SIGKILL)
        for stream in streams:
            with pytest.raises((openai.APIError, httpx.RemoteProtocolError, httpx.ReadError)):
                list(stream)
        eventually(lambda: _answers(up.url), within_s=20, what="the web process is back")
        eventually(lambda: up.status(left) == "cancelled", within_s=40, what="the job without readers has ended")
        assert time.monotonic() - killed_at > 8, "a repeat comes up to 8 s later"
        assert up.status(stored) == "running"
        up.run("cancel", stored)


@pytest.mark.model
def test_a_killed_worker_shows_nowhere_with_the_local_model(tmp_path: Path) -> None:
    """At temperature 0 a real model says the same again: the chat goes on without a sign."""
    with running_up(tmp_path, TOKENTAIL_LEASE_S="2") as up, client_of(up.url, max_retries=0) as client:
        chat = client.chat.completions.create(
            model="local", messages=HI, stream=True, temperature=0, seed=1, max_tokens=200
        )
        chunks = [next(chat) for _ in range(8)]
        os.kill(up.children()["worker"], signal.SIGKILL)
        chunks += list(chat)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text_of(up, chunks[0].id)
        assert chunks[-1].choices[0].finish_reason in {"stop", "length"}
        assert up.get(f"/v1/jobs/{chunks[0].id.partition('-')[2]}")["attempts"] == 2


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False
