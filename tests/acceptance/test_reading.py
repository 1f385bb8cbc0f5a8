"""The main job over HTTP alone: a prompt in, tokens out, the same for every reader, whenever and however it reads."""

import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.acceptance.running import Up, wait_for_end
from tests.waiting import eventually


def test_the_readmes_way_with_curl(shared_up: Up) -> None:
    """Submit, a short poll, long polls with the cursor, the status: nothing but curl."""
    submitted = curl("-d", '{"prompt": "Why is the sky blue?"}', f"{shared_up.url}/v1/jobs")
    tokens_url = f"{shared_up.url}/v1/jobs/{submitted['id']}/tokens"
    body = curl(f"{tokens_url}?cursor=0")
    text = "".join(body["tokens"])
    while not body["done"]:
        body = curl(f"{tokens_url}?cursor={body['cursor']}&wait=20")
        assert not body["reset"]
        text += "".join(body["tokens"])
    assert text == requests.get(f"{shared_up.url}/v1/jobs/{submitted['id']}/text", timeout=5).text
    status = curl(f"{shared_up.url}/v1/jobs/{submitted['id']}")
    assert status["status"] == "completed"
    assert status["token_count"] == 40


def test_a_cancelled_job_ends_at_once(shared_up: Up) -> None:
    """A waiting reader learns of it, and what was shown stays readable."""
    job_id = shared_up.submit(prompt="hello", model="demo?tokens=100000&tps=20")
    first = shared_up.get(f"/v1/jobs/{job_id}/tokens", wait=10)
    with ThreadPoolExecutor() as pool:
        reader = pool.submit(poll_on, shared_up, job_id, first["cursor"])
        began = time.monotonic()
        assert curl("-X", "POST", f"{shared_up.url}/v1/jobs/{job_id}/cancel")["status"] == "cancelled"
        tokens, last = reader.result(timeout=10)
        assert time.monotonic() - began < 3
    assert last["status"] == "cancelled"
    text = requests.get(f"{shared_up.url}/v1/jobs/{job_id}/text", timeout=5).text
    assert "".join([*first["tokens"], *tokens]) == text


def test_every_reader_reads_the_same(shared_up: Up) -> None:
    """Three at once, one of them cut off and back with its cursor, and one that comes when all is over."""
    job_id = shared_up.submit(prompt="hello", model="demo?tokens=60&tps=30")
    with ThreadPoolExecutor() as pool:
        readers = [
            pool.submit(lambda: poll_on(shared_up, job_id, "0")[0]),
            pool.submit(lambda: short_polls(shared_up, job_id)),
            pool.submit(lambda: cut_off_and_back(shared_up, job_id)),
        ]
        readings = [reader.result(timeout=30) for reader in readers]
    late = shared_up.get(f"/v1/jobs/{job_id}/tokens")
    assert late["done"]
    assert len(late["tokens"]) == 60
    assert readings == [late["tokens"]] * 3


def test_the_same_submission_sent_twice_is_one_job(shared_up: Up) -> None:
    """A client whose answer was lost sends it again."""
    ids = {
        requests.post(
            f"{shared_up.url}/v1/jobs", json={"prompt": "hello"}, headers={"Idempotency-Key": "one-key"}, timeout=5
        ).json()["id"]
        for _ in range(3)
    }
    assert len(ids) == 1
    assert wait_for_end(shared_up, ids.pop()) == "completed"


def test_prompts_are_in_no_log(shared_up: Up) -> None:
    """What people ask is theirs."""
    job_id = shared_up.submit(prompt="my secret is xyzzy-plugh", model="demo?tokens=3&tps=0")
    assert wait_for_end(shared_up, job_id) == "completed"
    assert job_id in shared_up.log
    assert "xyzzy-plugh" not in shared_up.log
    assert "xyzzy-plugh" not in (shared_up.data_dir / "valkey" / "valkey.log").read_text()


def curl(*arguments: str) -> Any:
    command = ["curl", "-sS", "--fail-with-body", "-H", "Content-Type: application/json", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=40).stdout)


def poll_on(up: Up, job_id: str, cursor: str) -> tuple[list[str], Any]:
    """The tokens from `cursor` to the end by long poll, and the last body."""
    tokens: list[str] = []
    while True:
        body = up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor, wait=20)
        tokens = body["tokens"] if body["reset"] else tokens + body["tokens"]
        cursor = body["cursor"]
        if body["done"]:
            return tokens, body


def short_polls(up: Up, job_id: str) -> list[str]:
    """The tokens of the job by short poll, at the interval that the server names."""
    tokens: list[str] = []
    cursor = "0"
    while True:
        body = up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor)
        tokens = body["tokens"] if body["reset"] else tokens + body["tokens"]
        cursor = body["cursor"]
        if body["done"]:
            return tokens
        time.sleep(body["poll_after_ms"] / 1000)


def cut_off_and_back(up: Up, job_id: str) -> list[str]:
    """The tokens of a reader that loses its connection in the middle of an answer, and returns when it is over."""
    read = up.get(f"/v1/jobs/{job_id}/tokens", wait=10)
    address = urlsplit(up.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        path = f"/v1/jobs/{job_id}/tokens?cursor={read['cursor']}&wait=20&linger_ms=500"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        assert connection.recv(20).startswith(b"HTTP/1.1 200")  # and the rest is lost
    eventually(lambda: up.status(job_id) == "completed", within_s=20, what="the job has ended")
    rest, _ = poll_on(up, job_id, read["cursor"])
    return [*read["tokens"], *rest]
