"""A web process tells when its default model is served by no worker, and offers nobody a model that is not there."""

import logging
from collections.abc import Iterator

import fakeredis
import pytest

from app.calls.default_model import DefaultModel
from app.serving.flask_app import create_app
from app.wiring import wire_calls
from tests.http_harness import hub_thread_of
from tests.scripted_worker import DEMO
from tokentail.config.settings import load_settings
from tokentail.jobs.fleet import Lease
from tokentail.jobs.models import ServedModel
from tokentail.redis.backend import Backend, wire

LOCAL = ServedModel("local/smollm2-135m", "local", "openai_chat")


@pytest.fixture
def backend() -> Iterator[Backend]:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    yield wire(client, client, load_settings({}))
    client.close()


def serve(backend: Backend, *models: ServedModel) -> None:
    backend.fleet.beat("worker-1", Lease(1, 4, [], list(models)))
    backend.observer.observe()


def test_a_default_that_no_worker_serves_is_told_once_and_so_is_its_return(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """While no worker lives nothing is said: its models are not known yet."""
    caplog.set_level(logging.INFO, logger="app.calls.default_model")
    watched = DefaultModel("local", backend.observer)
    watched.compare()
    assert caplog.records == []
    serve(backend, DEMO)
    watched.compare()
    watched.compare()
    serve(backend, LOCAL, DEMO)
    watched.compare()
    watched.compare()
    assert [record.message for record in caplog.records] == ["model.not_served", "model.served"]
    assert caplog.records[0].__dict__["model"] == "local"
    assert "there is: demo" in caplog.records[0].__dict__["fault"]


@pytest.mark.parametrize(
    ("setting", "default"),
    [("", "local/smollm2-135m"), ("local", "local/smollm2-135m"), ("demo?tokens=5", "demo?tokens=5"), ("gone", None)],
)
def test_the_list_of_models_names_the_default_in_full_or_not_at_all(
    backend: Backend, setting: str, default: str | None
) -> None:
    """What a picker preselects can be asked for."""
    serve(backend, LOCAL, DEMO)
    client = create_app(wire_calls(load_settings({"TOKENTAIL_MODEL": setting}), backend)).test_client()
    assert client.get("/v1/models").get_json()["default"] == default


def test_a_request_may_name_a_provider_alone(backend: Backend) -> None:
    """The job has the model's full name."""
    serve(backend, LOCAL, DEMO)
    calls = wire_calls(load_settings({}), backend)
    client = create_app(calls, hub_thread_of(calls, backend)).test_client()
    answer = client.post("/v1/jobs", json={"prompt": "p", "model": "local"})
    assert (answer.status_code, answer.get_json()["model"]) == (202, "local/smollm2-135m")
