"""`tokentail store`: what fills Redis, without a word of what is in it."""

import json
import re

from tests.acceptance.running import Up, wait_for_end
from tokentail.supervisor.embedded_valkey import embedded_url


def store(up: Up, *options: str) -> str:
    """What the command prints of the Valkey of `up`."""
    ran = up.run("store", "--data-dir", str(up.data_dir), *options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_largest_jobs_are_found(shared_up: Up) -> None:
    """By memory, the largest first, with what their records say; kinds of keys with their sizes."""
    ids = [shared_up.submit(prompt="Secret", model=f"demo?tokens={count}&tps=5000") for count in (4000, 2000)]
    for job_id in ids:
        wait_for_end(shared_up, job_id)
    (report,) = json.loads(store(shared_up, "--largest", "2", "--json"))
    assert [job["id"] for job in report["largest"]] == ids
    assert report["largest"][0]["memory"] > report["largest"][1]["memory"]
    assert [job["tokens"] for job in report["largest"]] == ["4000", "2000"]
    assert report["kinds"]["logs"]["memory"] > sum(job["memory"] for job in report["largest"]) * 0.8
    assert {"logs", "records", "requests"} <= set(report["kinds"])
    assert report["server"]["when_full"] == "noeviction"


def test_the_text_names_the_socket_and_no_content(shared_up: Up) -> None:
    """The socket is where a client finds the server, also where the path of the data is too long for one."""
    job_id = shared_up.submit(prompt="Secret words", model="demo?tokens=40&tps=500")
    wait_for_end(shared_up, job_id)
    printed = store(shared_up)
    address = re.search(r"^address +(\S+)$", printed, re.MULTILINE)
    assert address is not None
    assert embedded_url(shared_up.data_dir) == f"unix://{address[1]}"
    assert job_id in printed
    assert "Secret" not in printed
    assert "Tokentail demo" not in printed


def test_a_deleted_job_is_listed_as_deleted(shared_up: Up) -> None:
    """The tombstone keeps how the job had ended, which is not what it is now; no time is left of it."""
    job_id = shared_up.submit(prompt="Secret words", model="demo?tokens=4&tps=500")
    wait_for_end(shared_up, job_id)
    assert shared_up.run("delete", job_id).returncode == 0
    (line,) = (line for line in store(shared_up, "--largest", "1000").splitlines() if job_id in line)
    assert re.search(rf" deleted +{job_id} +is gone", line), line
    (report,) = json.loads(store(shared_up, "--largest", "1000", "--json"))
    assert [job["status"] for job in report["largest"] if job["id"] == job_id] == ["deleted"]


def test_a_redis_that_is_away_is_named(shared_up: Up) -> None:
    """Exit code 3, with the address and what to do."""
    ran = shared_up.run("store", "--data-dir", str(shared_up.data_dir / "nowhere"))
    assert ran.returncode == 3
    assert re.search(r"no Redis serves at \S+nowhere/valkey/valkey.sock; is `tokentail up` running", ran.stderr)
