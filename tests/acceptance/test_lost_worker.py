"""A worker that is killed loses no job, and its readers learn what became of what they had."""

import os
import signal
import time
from pathlib import Path

from tests.acceptance.running import running_up


def test_a_job_of_a_killed_worker_is_taken_by_the_next(tmp_path: Path) -> None:
    """A reader sees tokens, then a reset, then the whole answer from its beginning, a lease and some seconds later."""
    with running_up(tmp_path, "--model", "demo?tokens=100&tps=20", TOKENTAIL_LEASE_S="2") as up:
        job_id = up.submit(prompt="hello")
        text, cursor, resets = "", "0", 0
        killed_at = None
        while True:
            body = up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor, wait=20)
            if body["reset"]:
                resets += 1
                text = ""
                assert killed_at is not None
                assert time.monotonic() - killed_at < 12
            text += "".join(body["tokens"])
            cursor = body["cursor"]
            if body["done"]:
                break
            if killed_at is None and text:
                os.kill(up.children()["worker"], signal.SIGKILL)
                killed_at = time.monotonic()
        assert body["status"] == "completed"
        assert resets == 1
        late = up.get(f"/v1/jobs/{job_id}/tokens")
        assert text == "".join(late["tokens"])
        assert len(late["tokens"]) == 100
        assert up.get(f"/v1/jobs/{job_id}")["attempts"] == 2


def test_after_a_killed_worker_short_polls_keep_pace_with_the_new_answer(tmp_path: Path) -> None:
    """At 50 tokens a second the poll interval is a tenth of a second or little more, whatever the age of the job."""
    with running_up(tmp_path, "--model", "demo?tokens=200&tps=50", TOKENTAIL_LEASE_S="2") as up:
        job_id = up.submit(prompt="hello")
        cursor, is_killed, intervals_ms = "0", False, []
        while True:
            body = up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor)
            cursor = body["cursor"]
            if body["done"]:
                break
            view = up.get(f"/v1/jobs/{job_id}")
            if not is_killed and view["token_count"] > 50:
                os.kill(up.children()["worker"], signal.SIGKILL)
                is_killed = True
            elif view["attempts"] == 2 and view["status"] == "running" and view["token_count"] > 20:
                intervals_ms.append(body["poll_after_ms"])
            time.sleep(0.1)  # not the poll interval, which is only recorded here
        assert view["attempts"] == 2
        assert len(intervals_ms) >= 10, intervals_ms
        assert sorted(intervals_ms)[len(intervals_ms) // 2] <= 150, intervals_ms
        assert max(intervals_ms) < 500, intervals_ms
