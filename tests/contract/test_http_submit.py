"""Submitting over HTTP: what is accepted, what is refused and why, and that a repeat is not a second job."""

import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.waiting import eventually
from tokentail.identifiers import is_job_id
from tokentail.jobs.models import ServedModel


def queued_job(harness: HttpHarness) -> str:
    """The one job in the queue."""
    waiting = harness.backend.queue.waiting()
    assert len(waiting) == 1
    return next(iter(waiting))


def test_a_prompt_is_accepted_and_queued(harness: HttpHarness) -> None:
    """202, the job, where it is, and its links; and the job is in the queue."""
    answer = harness.submit({"prompt": "why", "metadata": {"ticket": "7"}})
    assert answer.status_code == 202
    job = json_of(answer)
    assert is_job_id(job["id"])
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["links"] == {
        "self": f"/v1/jobs/{job['id']}",
        **{name: f"/v1/jobs/{job['id']}/{name}" for name in ("tokens", "events", "stream", "text", "cancel")},
    }
    assert (job["status"], job["model"], job["metadata"]) == ("queued", "demo", {"ticket": "7"})
    assert (job["attempts"], job["token_count"], job["queue_position"]) == (0, 0, 1)
    assert job["expires_at"] is None
    assert queued_job(harness) == job["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "prompt"),
        ('{"prompt": ""}', "prompt"),
        ('{"prompt": null}', "prompt"),
        ('{"prompt": 7}', "prompt"),
        ('{"prompt": "\\ud800"}', "prompt"),
        ('{"prompt": "\\u0000"}', "prompt"),
        ('{"prompt": "a", "messages": []}', "messages"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "king"}]}', "messages[1].role"),
        ('{"messages": [{"role": "user", "content": ["a"]}]}', "messages[0].content[0]"),
        ('{"prompt": "a", "temperature": "hot"}', "temperature"),
        ('{"prompt": "a", "temperature": 3}', "temperature"),
        ('{"prompt": "a", "max_tokens": 1.5}', "max_tokens"),
        ('{"prompt": "a", "max_tokens": true}', "max_tokens"),
        ('{"prompt": "a", "stream": true}', "stream"),
        ('{"prompt": "a", "model": "nobody/serves-this"}', "model"),
        ('{"prompt": "a", "model": "demo?tokens=x"}', "model"),
        ('{"prompt": "a", "metadata": {"a": 1}}', "metadata[...]"),
    ],
)
def test_what_is_wrong_with_a_body_is_named(harness: HttpHarness, body: str, field: str) -> None:
    """A body that is JSON but no request is a 422 that names the field, and makes no job."""
    answer = harness.post("/v1/jobs", data=body.encode(), content_type="application/json")
    document = assert_problem(answer, 422)
    assert field in [error["field"] for error in document["errors"]]
    assert harness.backend.queue.waiting() == {}
    assert json_of(harness.get("/v1/jobs"))["jobs"] == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"prompt=why", b'{"prompt": NaN}', b'{"temperature": 1e999}', b'{"prompt": "\xff"}', b"[" * 100_000],
)
def test_a_body_that_is_not_json_is_malformed(harness: HttpHarness, body: bytes) -> None:
    """What cannot be read as JSON is a 400."""
    assert_problem(harness.post("/v1/jobs", data=body, content_type="application/json"), 400)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_another_content_type_is_refused(harness: HttpHarness, content_type: str) -> None:
    """Only JSON is taken; a form that a foreign page sends never is."""
    answer = harness.post("/v1/jobs", data=b'{"prompt": "why"}', content_type=content_type)
    assert_problem(answer, 415)
    assert answer.headers["Accept-Post"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/jobs", "/ai-sdk/chat", "/openai/v1/chat/completions", "/openai/v1/responses"])
def test_a_compressed_body_is_refused_as_such(harness: HttpHarness, path: str) -> None:
    """That a compressed body is no JSON would say nothing to a client whose library compresses."""
    headers = {"Content-Encoding": "gzip"}
    answer = harness.post(path, data=b"\x1f\x8b", content_type="application/json", headers=headers)
    assert answer.status_code == 415
    assert answer.headers["Accept-Encoding"] == "identity"
    assert "Content-Encoding" in answer.text


def test_a_charset_is_no_other_content_type(harness: HttpHarness) -> None:
    """application/json with parameters is application/json."""
    answer = harness.post("/v1/jobs", data=b'{"prompt": "why"}', content_type="Application/JSON; charset=utf-8")
    assert answer.status_code == 202


def test_a_body_over_the_limit_is_refused(make_harness: MakeHarness) -> None:
    """A body that is too large is a 413 that says how large it may be."""
    harness = make_harness(TOKENTAIL_MAX_BODY_BYTES="1024")
    body = json.dumps({"prompt": "x" * 1024})
    document = assert_problem(harness.post("/v1/jobs", data=body, content_type="application/json"), 413)
    assert "1024" in document["detail"]
    fits = json.dumps({"prompt": "x" * (1024 - len('{"prompt": ""}'))})
    assert len(fits) == 1024
    assert harness.post("/v1/jobs", data=fits, content_type="application/json").status_code == 202


@pytest.mark.parametrize(("size", "status"), [(1024, 202), (1025, 413), (5000, 413)])
def test_a_chunked_body_over_the_limit_is_refused(make_harness: MakeHarness, size: int, status: int) -> None:
    """A body that does not say its length is refused in the same way, and not cut off."""
    harness = make_harness(TOKENTAIL_MAX_BODY_BYTES="1024")
    body = json.dumps({"prompt": "x" * (size - len('{"prompt": ""}'))}).encode()
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = harness.post(
        "/v1/jobs",
        input_stream=BytesIO(body),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides=chunked,
    )
    assert answer.status_code == status, answer.text


def test_an_unknown_model_is_told_what_there_is(harness: HttpHarness) -> None:
    """The 422 for a model names those that can be asked for."""
    harness.worker.beat(ServedModel("demo", "demo", "demo"), ServedModel("openai/*", "openai", "openai_chat"))
    document = assert_problem(harness.submit({"prompt": "a", "model": "gpt"}), 422)
    assert "demo, openai/*" in document["errors"][0]["message"]
    assert json_of(harness.submit({"prompt": "a", "model": "openai/gpt-5"}))["model"] == "openai/gpt-5"


def test_before_any_worker_came_the_answer_says_so(make_harness: MakeHarness) -> None:
    """Without a catalog a submission says what to start; with the last worker gone its models are still taken."""
    harness = make_harness(has_worker=False)
    refused = harness.submit()
    document = assert_problem(refused, 503)
    assert refused.headers["Retry-After"]
    assert "tokentail worker" in document["detail"]
    other = make_harness()
    other.backend.fleet.leave("scripted")
    assert other.submit().status_code == 202


def test_what_readiness_has_named_is_taken_at_once(make_harness: MakeHarness) -> None:
    """A web process that was asked for models a moment before a worker came with them refuses none of these."""
    harness = make_harness(has_worker=False)
    assert json_of(harness.get("/v1/models"))["data"] == []
    for name in ("demo", "demo-two", "demo-three"):
        assert harness.submit({"prompt": "a", "model": name}).status_code in {422, 503}
        harness.worker.beat(ServedModel(name, "demo", "demo"))
        assert json_of(harness.get("/readyz"))["models"] == [name]
        assert harness.submit({"prompt": "a", "model": name}).status_code == 202


def test_the_same_key_and_body_is_the_same_job(harness: HttpHarness) -> None:
    """An Idempotency-Key makes a repeat harmless, however the JSON is written; another body is a conflict."""
    first = harness.submit({"prompt": "why", "max_tokens": 5}, Idempotency_Key="k 1")
    again = harness.post(
        "/v1/jobs",
        data=b'{ "max_tokens":5,\n"prompt":"why" }',
        content_type="application/json",
        headers={"Idempotency-Key": "k 1"},
    )
    assert (first.status_code, again.status_code) == (202, 202)
    assert json_of(again)["id"] == json_of(first)["id"] == queued_job(harness)
    assert_problem(harness.submit({"prompt": "why not"}, Idempotency_Key="k 1"), 409)
    assert harness.submit({"prompt": "why"}, Idempotency_Key="k 2").status_code == 202


def test_the_same_key_at_the_same_moment_makes_one_job(harness: HttpHarness) -> None:
    """Duplicates that race each other are one job."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: harness.submit(Idempotency_Key="race"), range(8)))
    assert {json_of(answer)["id"] for answer in answers} == {queued_job(harness)}


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "tab\there"])
def test_a_key_that_no_header_should_carry_is_named(harness: HttpHarness, key: str) -> None:
    """An Idempotency-Key has 1 to 255 printable ASCII characters."""
    document = assert_problem(harness.submit(Idempotency_Key=key), 422)
    assert document["errors"][0]["field"] == "Idempotency-Key"


def test_a_preferred_wait_gives_the_whole_result(harness: HttpHarness) -> None:
    """`Prefer: wait=N` answers 200 with the text and the end, if it comes in time."""
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(harness.submit, Prefer="respond-async, wait=20")
        eventually(harness.backend.queue.waiting)
        harness.worker.answer(queued_job(harness), "Hel", "lo")
        answer = answering.result(10)
    result = json_of(answer)
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.headers["Content-Location"] == f"/v1/jobs/{result['id']}"
    assert (result["text"], result["status"], result["finish_reason"]) == ("Hello", "completed", "stop")
    assert result["usage"]["output_tokens"] == 2
    assert result["expires_at"] > result["ended_at"]


def test_a_preferred_wait_that_is_not_enough_is_a_202(harness: HttpHarness) -> None:
    """A job that goes on past the preferred wait is answered like any other."""
    answer = harness.submit(Prefer="wait=1")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert "text" not in json_of(answer)


@pytest.mark.parametrize("prefer", ["wait", "wait=x", "wait=-1", "return=minimal", "wait=0", ""])
def test_a_preference_that_cannot_be_read_is_no_error(harness: HttpHarness, prefer: str) -> None:
    """RFC 7240: a server ignores preferences that it does not understand."""
    answer = harness.submit(Prefer=prefer)
    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers


def test_a_repeat_may_prefer_to_wait(harness: HttpHarness) -> None:
    """A repeat of the same key with `Prefer` gives the result of the job that the first call made."""
    first: dict[str, Any] = json_of(harness.submit(Idempotency_Key="k"))
    harness.worker.answer(first["id"], "a")
    again = harness.submit(Idempotency_Key="k", Prefer="wait=5")
    assert again.status_code == 200
    assert (json_of(again)["id"], json_of(again)["text"]) == (first["id"], "a")


def test_too_many_open_jobs_are_429(make_harness: MakeHarness) -> None:
    """With a Retry-After, and nothing is left of what was refused."""
    client = make_harness(TOKENTAIL_API_KEYS="a-key,other-key", TOKENTAIL_MAX_CLIENT_JOBS="1").client
    key, other = ({"Authorization": f"Bearer {name}"} for name in ("a-key", "other-key"))
    assert client.post("/v1/jobs", json={"prompt": "why"}, headers=key).status_code == 202
    refused = client.post("/v1/jobs", json={"prompt": "why"}, headers=key)
    assert assert_problem(refused, 429)["type"] == "urn:tokentail:problem:too-many-jobs"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert client.post("/v1/jobs", json={"prompt": "why"}, headers=other).status_code == 202
    assert len(json_of(client.get("/v1/jobs", headers=key))["jobs"]) == 1


def test_a_queued_job_says_what_it_waits_for(make_harness: MakeHarness) -> None:
    """For a worker, for a slot, or for another job of its own client."""
    harness = make_harness(TOKENTAIL_API_KEYS="a-key")
    key = {"Authorization": "Bearer a-key"}
    harness.worker.beat(slots=1)

    def submitted() -> str:
        return str(json_of(harness.client.post("/v1/jobs", json={"prompt": "why"}, headers=key))["id"])

    first, second = submitted(), submitted()
    other = make_harness(TOKENTAIL_API_KEYS="a-key", has_worker=False)  # places are kept for two seconds
    views = [json_of(other.get(f"/v1/jobs/{job_id}", headers=key)) for job_id in (first, second)]
    assert [(view["waits_for"], view["queue_position"]) for view in views] == [("slot", 1), ("share", 2)]
    harness.backend.fleet.leave("scripted")
    harness.backend.observer.observe()
    assert json_of(harness.get(f"/v1/jobs/{first}", headers=key))["waits_for"] == "worker"
    assert json_of(harness.get(f"/v1/jobs/{first}/tokens", headers=key))["poll_after_ms"] == 5000
