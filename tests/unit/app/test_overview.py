"""`GET /v1/overview`: numbers of the whole deployment, for a caller with any key, and nothing of single jobs."""

from collections.abc import Iterator
from datetime import datetime

import fakeredis
import pytest
from flask.testing import FlaskClient

from app.serving.flask_app import create_app
from app.wiring import wire_calls
from tests.http_harness import hub_thread_of
from tests.scripted_worker import DEMO
from tokentail.config.settings import load_settings
from tokentail.jobs.fleet import Lease
from tokentail.redis.backend import Backend, wire

KEYS = {"one": {"Authorization": "Bearer the-first-key"}, "other": {"Authorization": "Bearer the-second-key"}}


@pytest.fixture
def backend() -> Iterator[Backend]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    yield wire(client, client, load_settings({"TOKENTAIL_API_KEYS": "the-first-key,the-second-key"}))
    client.close()


@pytest.fixture
def client(backend: Backend) -> FlaskClient:
    settings = load_settings({"TOKENTAIL_API_KEYS": "the-first-key,the-second-key"})
    calls = wire_calls(settings, backend)
    return create_app(calls, hub_thread_of(calls, backend)).test_client()


def test_it_counts_workers_slots_and_jobs_of_all(client: FlaskClient, backend: Backend) -> None:
    """Another key's jobs are counted, and not named."""
    backend.fleet.beat("worker-1", Lease(1, 4, ["a", "b"], [DEMO], ended=7))
    posted = client.post("/v1/jobs", json={"prompt": "secret words"}, headers=KEYS["other"])
    assert posted.status_code == 202
    answer = client.get("/v1/overview", headers=KEYS["one"])
    assert answer.status_code == 200
    overview = answer.get_json()
    assert 0 <= overview["queue"].pop("head_age_s") < 60
    assert datetime.fromisoformat(overview.pop("at")).tzinfo is not None
    assert overview == {
        "state": "good",
        "reasons": [],
        "role": "client",
        "jobs": {"queued": 0, "running": 2},
        "queue": {"length": 1, "held_out": 0},
        "slots": 4,
        "ended_per_s": 0.0,
        "workers": [{"name": "worker-1", "slots": 4, "held": 2, "ended": 7, "models": ["demo"]}],
    }
    assert posted.get_json()["id"].encode() not in answer.data
    assert b"secret" not in answer.data


def test_it_counts_nothing_where_nothing_is(client: FlaskClient) -> None:
    """No worker, no job: zeros, and nobody who waits."""
    overview = client.get("/v1/overview", headers=KEYS["one"]).get_json()
    assert overview["workers"] == []
    assert overview["state"] == "no workers"
    assert overview["queue"] == {"length": 0, "held_out": 0, "head_age_s": None}


def test_it_takes_a_key(client: FlaskClient) -> None:
    """What a deployment can do is not told to strangers."""
    assert client.get("/v1/overview").status_code == 401
