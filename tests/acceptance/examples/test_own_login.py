"""own_login: the users, the log-in and the rules are the app's, the tokens are Tokentail's."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.examples.conftest import KEY, newest_text
from tests.acceptance.examples.front import running_front
from tests.acceptance.running import Up
from tokentail.client import Client


@pytest.fixture(scope="module")
def front(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_front(up.url, KEY, tmp_path_factory.mktemp("front")) as address:
        yield address


def logged_in(front: str, name: str, password: str) -> requests.Session:
    session = requests.Session()
    answer = session.post(f"{front}/login", data={"name": name, "password": password}, timeout=10)
    assert answer.status_code == 200, answer.text
    return session


@pytest.fixture
def ada(front: str) -> Iterator[requests.Session]:
    with logged_in(front, "ada", "lovelace") as session:
        yield session


@pytest.fixture
def alan(front: str) -> Iterator[requests.Session]:
    with logged_in(front, "alan", "turing") as session:
        yield session


def submitted(session: requests.Session, front: str, headers: Mapping[str, str] | None = None, **body: Any) -> str:
    asked = {"prompt": "Why?", **body}
    answer = session.post(f"{front}/v1/jobs", json=asked, headers=headers, timeout=10)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_polls_pass_the_app_in_front(front: str, ada: requests.Session, client: Client) -> None:
    """With the cookie of its log-in, and nothing else."""
    job = f"{front}/v1/jobs/{submitted(ada, front)}"
    text, cursor, done = "", "0", False
    while not done:
        poll = ada.get(f"{job}/tokens?cursor={cursor}&wait=20", timeout=30).json()
        text, cursor, done = text + "".join(poll["tokens"]), poll["cursor"], poll["done"]
    assert text == newest_text(client)
    assert ada.get(f"{job}/text", timeout=10).text == text


def test_streams_pass_the_app_in_front_as_they_come(front: str, ada: requests.Session) -> None:
    """The first token is there while the job still runs, and the stream can be resumed."""
    job = f"{front}/v1/jobs/{submitted(ada, front)}"
    with ada.get(f"{job}/stream", stream=True, timeout=30) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers["X-Accel-Buffering"] == "no"
        seen = ""
        while '"tokens":["' not in seen:
            seen += stream.raw.read1(4096).decode()
        assert ada.get(job, timeout=10).json()["status"] == "running"
    last_id = re.findall(r"^id: (.*)$", seen.rpartition("\n\n")[0], re.MULTILINE)[-1]
    rest = ada.get(f"{job}/stream", headers={"Last-Event-ID": last_id}, timeout=30).content.decode()
    bodies = [
        json.loads(line[6:]) for line in (seen.rpartition("\n\n")[0] + "\n" + rest).splitlines() if "data: " in line
    ]
    text = "".join(token for body in bodies for token in body["tokens"])
    assert text == ada.get(f"{job}/text", timeout=10).text


def test_who_has_not_logged_in_gets_nothing(front: str, ada: requests.Session) -> None:
    """Without a login the app gives neither its page nor a job, and a failed login does not tell what was wrong."""
    job = f"{front}/v1/jobs/{submitted(ada, front)}"
    assert requests.get(f"{job}/tokens", timeout=10).status_code == 401
    assert requests.post(f"{front}/v1/jobs", json={"prompt": "Why?"}, timeout=10).status_code == 401
    assert "password" in requests.get(front, timeout=10).text
    assert requests.post(f"{front}/login", data={"name": "ada", "password": "x"}, timeout=10).status_code == 401
    ada.post(f"{front}/logout", timeout=10)
    assert ada.get(job, timeout=10).status_code == 401


def test_a_users_job_is_nobody_elses(front: str, ada: requests.Session, alan: requests.Session) -> None:
    """Not even with the same Idempotency-Key, though Tokentail sees one key for all."""
    sent = {"Idempotency-Key": "one"}
    job_id = submitted(ada, front, sent)
    assert submitted(ada, front, sent) == job_id
    assert submitted(alan, front, sent) != job_id
    for path in ("", "/tokens", "/events", "/text", "/stream"):
        assert alan.get(f"{front}/v1/jobs/{job_id}{path}", timeout=10).status_code == 404
    assert alan.post(f"{front}/v1/jobs/{job_id}/cancel", timeout=10).status_code == 404
    assert ada.post(f"{front}/v1/jobs/{job_id}/cancel", timeout=10).json()["status"] in {"cancelled", "completed"}


def test_the_app_in_front_has_rules_of_its_own(front: str, ada: requests.Session, client: Client) -> None:
    """Users of the app cannot choose a model or a limit, and the app refuses forms."""
    submitted(ada, front, max_tokens=99999, model="demo?tokens=100000")
    assert next(client.jobs()).model == "demo?tokens=80&tps=20"
    assert ada.post(f"{front}/v1/jobs", data={"prompt": "Why?"}, timeout=10).status_code == 415
    assert ada.post(f"{front}/v1/jobs", json={"prompt": 1}, timeout=10).status_code == 422


def test_the_app_in_front_outlives_tokentail(tmp_path: Path) -> None:
    """While Tokentail is away the app responds 503 with Retry-After."""
    with running_front("http://127.0.0.1:9", KEY, tmp_path) as front, logged_in(front, "ada", "lovelace") as ada:
        answer = ada.post(f"{front}/v1/jobs", json={"prompt": "Why?"}, timeout=10)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
