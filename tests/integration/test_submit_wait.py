"""Submissions that wait until a replica has the job: a real primary with a real replica, which can hang."""

from collections.abc import Iterator

import pytest

from app.http.job_routes import JOBS
from app.http.openai_routes import CHAT, RESPONSES
from tests.free_ports import free_ports
from tests.http_harness import HttpHarness, assert_problem, json_of, open_harness
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.keys import record_of

_WAIT_MS = "300"


@pytest.fixture(scope="module")
def primary() -> Iterator[ValkeyServer]:
    (port,) = free_ports(1)
    with ValkeyServer("--port", str(port), "--repl-diskless-sync-delay", "0") as server:
        yield server


@pytest.fixture(scope="module")
def replica(primary: ValkeyServer) -> Iterator[ValkeyServer]:
    port = primary.connect().config_get("port")["port"]
    with ValkeyServer("--replicaof", "127.0.0.1", port) as server:
        client = primary.connect()

        def is_online() -> bool:
            state: dict[str, str] = client.info("replication").get("slave0", {})
            return state.get("state") == "online"

        eventually(is_online, within_s=20, what="the replica follows")
        yield server
        server.resume()


@pytest.fixture
def harness(primary: ValkeyServer, replica: ValkeyServer) -> Iterator[HttpHarness]:
    client = primary.connect()
    client.flushall()
    backend = wire(client, client, load_settings({}))
    harness = open_harness(backend, None, primary.url, TOKENTAIL_SUBMIT_WAIT_MS=_WAIT_MS)
    yield harness
    replica.resume()
    harness.close()


def accepted(harness: HttpHarness, key: str) -> str:
    """The job of a submission, which is repeated until it is accepted: a busy machine's replica may be late."""

    answers = []

    def submit() -> bool:
        answers.append(harness.submit(Idempotency_Key=key))
        return answers[-1].status_code == 202

    eventually(submit, within_s=20, what="a replica has the job in time")
    return str(json_of(answers[-1])["id"])


def test_an_accepted_job_is_on_the_replica(harness: HttpHarness, replica: ValkeyServer) -> None:
    """At the moment of the 202, its record, its log and its place in the queue: nothing is left on its way."""
    job_id = accepted(harness, "key")
    client = replica.connect()
    assert client.exists(record_of(job_id)) == 1
    assert client.lrange("rq:queue:tokentail", 0, -1) == [f"{job_id}-1".encode()]


def test_a_job_that_no_replica_has_is_refused_and_its_key_finds_it_later(
    harness: HttpHarness, replica: ValkeyServer
) -> None:
    """503 while the replica hangs, a repeat included; afterwards the same key is the same job, and one job."""
    replica.pause()
    for _ in range(2):
        refused = harness.submit(Idempotency_Key="key")
        assert assert_problem(refused, 503)["type"] == "urn:tokentail:problem:not-replicated"
        assert int(refused.headers["Retry-After"]) > 0
    (job_id,) = harness.backend.queue.waiting()
    replica.resume()
    assert accepted(harness, "key") == job_id
    assert replica.connect().exists(record_of(job_id)) == 1
    assert list(harness.backend.queue.waiting()) == [job_id]


def test_another_web_process_does_not_confirm_what_no_replica_has(
    harness: HttpHarness, primary: ValkeyServer, replica: ValkeyServer
) -> None:
    """Redis's WAIT counts what its own connection wrote; the repeat of a submission may come over any connection."""
    replica.pause()
    assert_problem(harness.submit(Idempotency_Key="key"), 503)
    client = primary.connect()
    other = open_harness(
        wire(client, client, load_settings({})), None, primary.url, has_worker=False, TOKENTAIL_SUBMIT_WAIT_MS=_WAIT_MS
    )
    try:
        assert assert_problem(other.submit(Idempotency_Key="key"), 503)["type"].endswith(":not-replicated")
        replica.resume()
        assert [accepted(other, "key")] == list(harness.backend.queue.waiting())
    finally:
        other.close()


def test_a_repeat_through_openais_interface_waits_for_a_replica_too(
    harness: HttpHarness, replica: ValkeyServer
) -> None:
    """The id of a background response is a promise like a 202, also when the client's library sends it again."""
    replica.pause()
    body = {"model": "demo", "input": "Hi", "background": True}
    for repeat in ({}, {"X-Stainless-Retry-Count": "1"}):
        response = harness.post(RESPONSES, json=body, headers={"Idempotency-Key": "key", **repeat})
        assert (response.status_code, json_of(response)["error"]["code"]) == (503, "not_replicated")
    replica.resume()


def test_a_job_that_no_replica_has_and_no_key_leads_to_is_erased(harness: HttpHarness, replica: ValkeyServer) -> None:
    """The client will send it again as a new one; the first must neither run nor take a place."""
    replica.pause()
    assert_problem(harness.submit(), 503)
    chat = harness.post(CHAT, json={"model": "demo", "messages": [{"role": "user", "content": "Hi"}]})
    assert (chat.status_code, json_of(chat)["error"]["code"]) == (503, "not_replicated")
    replica.resume()
    assert harness.backend.queue.waiting() == {}
    assert harness.backend.admission.open_jobs() == []
    assert json_of(harness.get(JOBS))["jobs"] == []


def test_without_the_setting_a_hanging_replica_is_not_waited_for(primary: ValkeyServer, replica: ValkeyServer) -> None:
    """The default: 202 as soon as the primary has the job."""
    client = primary.connect()
    harness = open_harness(wire(client, client, load_settings({})), None, primary.url)
    replica.pause()
    assert harness.submit().status_code == 202
    replica.resume()
    harness.close()
