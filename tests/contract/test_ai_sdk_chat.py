"""The endpoints of the AI SDK's chat over both bindings: what is streamed, resumed and stopped, and for whom."""

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.contract.openai_clients import Clients, clients
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.keys_file import bearer, write_keys
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End
from tokentail.redis.backend import now_ms

__all__ = ["clients"]  # a fixture

CHAT = "/ai-sdk/chat"
USER = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
ASKED = {"id": "one", "trigger": "submit-message", "messages": [USER]}


def chunks_of(answer: TestResponse) -> list[Any]:
    """The chunks of a stream, `[DONE]` as it is; comments are left out."""
    events = [event for event in answer.get_data(as_text=True).split("\n\n") if event.startswith("data: ")]
    return ["[DONE]" if e == "data: [DONE]" else json.loads(e.removeprefix("data: ")) for e in events]


def text_of(answer: TestResponse) -> str:
    return "".join(chunk.get("delta", "") for chunk in chunks_of(answer) if chunk != "[DONE]")


def resumed(harness: HttpHarness, chat: str = "one", **options: Any) -> TestResponse:
    return harness.get(f"{CHAT}/{chat}/stream", **options)


def test_an_answer_is_a_stream_of_chunks(clients: Clients) -> None:
    """The stream names its message and its job, and ends with `finish` and the marker."""
    asked = clients.post(CHAT, {**ASKED, "temperature": 0.5})
    job_id = clients.new_job()
    clients.harness.worker.answer(job_id, "Hel", "lo")
    answer = asked.result()
    assert answer.status_code == 200
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Tokentail-Job"] == job_id
    first, *_, finish, marker = chunks_of(answer)
    assert first == {"type": "start", "messageId": job_id, "messageMetadata": {"job": job_id}}
    assert (text_of(answer), finish["type"], marker) == ("Hello", "finish", "[DONE]")
    request = json_of(clients.harness.get(f"/v1/jobs/{job_id}/request"))
    assert request["messages"] == [{"role": "user", "content": "Hi"}]
    assert request["temperature"] == 0.5


def test_a_chat_is_resumed_from_its_beginning_until_its_answer_was_delivered(clients: Clients) -> None:
    """An open answer and one that has ended; then there is nothing to resume, and a stop is no error."""
    assert resumed(clients.harness).status_code == 204
    asked = clients.post(CHAT, {**ASKED, "messages": [USER, {**USER, "id": "a", "role": "assistant"}]})
    job_id = clients.new_job()
    writer = clients.harness.worker.take(job_id)
    clients.harness.worker.say(writer, "Hel")
    clients.stop()  # of the web process: nothing is delivered
    told = chunks_of(asked.result())
    assert told[-1]["type"] == "error"
    assert job_id in told[-1]["errorText"]
    clients.harness.worker.say(writer, "lo", COMPLETED)
    answer = resumed(clients.harness)
    assert answer.status_code == 200
    before, _, after = answer.get_data(as_text=True).rpartition('"start-step"')
    assert '"delta":"Hi"' in before, "the message that the answer continues comes first"
    assert ('"delta":"Hel"' in after, '"delta":"Hi"' in after) == (True, False)
    assert chunks_of(answer)[0]["messageId"] == "a"
    eventually(lambda: resumed(clients.harness).status_code == 204, what="it was delivered")
    assert clients.harness.post(f"{CHAT}/one/stop").status_code == 204


def test_a_stop_cancels_the_newest_job_of_its_chat(clients: Clients) -> None:
    """The stream ends with `abort` and keeps what it has; the job of another chat goes on."""
    other = clients.post(CHAT, {**ASKED, "id": "two"})
    other_id = clients.new_job()
    asked = clients.post(CHAT, ASKED)
    job_id = clients.new_job()
    clients.harness.worker.say(clients.harness.worker.take(job_id), "Hel")
    assert clients.harness.post(f"{CHAT}/one/stop").status_code == 204
    answer = asked.result()
    assert text_of(answer) == "Hel"
    assert chunks_of(answer)[-1] == {"type": "abort"}
    assert clients.harness.poll(job_id)["status"] == "cancelled"
    clients.harness.worker.answer(other_id, "x")
    assert text_of(other.result()) == "x"


def test_a_failure_is_an_error_and_no_finish(clients: Clients) -> None:
    """The chat shows the failure's own words, even where nothing was shown before."""
    asked = clients.post(CHAT, ASKED)
    failure = Failure(FailureKind.OVERLOADED, "It is busy.", is_retryable=True)
    clients.harness.worker.say(clients.harness.worker.take(clients.new_job()), End(Status.FAILED, error=failure))
    assert chunks_of(asked.result())[-1] == {"type": "error", "errorText": "It is busy."}


def test_a_new_generation_resets_the_step(harness: HttpHarness) -> None:
    """What the lost worker said is removed, and the answer is the new one's alone."""
    store = harness.backend.store
    with harness.client.post(CHAT, json=ASKED, buffered=False) as answer:
        job_id = answer.headers["Tokentail-Job"]
        harness.worker.say(harness.worker.take(job_id), "Old")
        parts = answer.iter_encoded()
        read = b""
        while b"Old" not in read:
            read += next(parts)
        job = store.view(job_id)
        assert store.requeue(job_id, job.attempt, job.enqueues, now_ms())
        harness.worker.answer(job_id, "New")
        rest = b"".join(parts).decode()
    assert rest.index("reset-step") < rest.index("New") < rest.index("[DONE]")
    assert rest.count("reset-step") == 1
    assert read.count(b"start-step") == 1
    assert "start-step" not in rest


@pytest.mark.parametrize("make_harness", ["plane-valkey"], indirect=True)
def test_leaving_stops_nothing(clients: Clients) -> None:
    """A chat closes its connection whenever its page is left."""
    job_id = clients.hang_up(CHAT, ASKED)
    assert json_of(clients.harness.get(f"/v1/jobs/{job_id}/request")).get("on_abandon") is None
    clients.harness.worker.answer(job_id, "x")
    assert text_of(resumed(clients.harness)) == "x"


def test_a_deleted_job_is_nothing_to_resume(clients: Clients) -> None:
    """A chat whose answer was erased begins anew."""
    job_id = clients.hang_up(CHAT, ASKED) if clients.harness.plane else _left(clients)
    clients.harness.delete(job_id)
    assert resumed(clients.harness).status_code == 204


def test_refusals_are_problem_documents(harness: HttpHarness) -> None:
    """The chat shows the body of a refusal; it names the field."""
    for body, status, field in (
        ({**ASKED, "colour": "red"}, 422, "colour"),
        ({**ASKED, "id": 5}, 422, "id"),
        ({**ASKED, "model": "nothing-like-it"}, 404, "model"),
        ({**ASKED, "messages": [{**USER, "parts": []}]}, 422, "messages"),
    ):
        document = assert_problem(harness.post(CHAT, json=body), status)
        assert field in [fault["field"] for fault in document["errors"]]
    assert_problem(harness.post(CHAT, data=b"{}", headers={"Content-Type": "text/plain"}), 415)
    assert_problem(harness.post(CHAT, data=b"{", headers={"Content-Type": "application/json"}), 400)
    assert_problem(harness.get("/ai-sdk/nothing"), 404)


def test_a_chat_belongs_to_its_key_and_its_user(make_harness: MakeHarness, tmp_path: Any) -> None:
    """An id of another key, or of another user's session, is another chat; an operator's key opens none."""
    path = write_keys(tmp_path / "keys.toml", web={}, other={}, op={"role": "operator"})
    harness = make_harness(TOKENTAIL_KEYS_FILE=path)
    sessions = {}
    for user in ("ann", "bob"):
        token = json_of(harness.post("/v1/session", headers=bearer("web"), json={"user": user}))["token"]
        sessions[user] = {"Authorization": f"Bearer {token}"}
    harness.client.delete_cookie("tokentail_session")
    assert_problem(harness.post(CHAT, json=ASKED), 401)
    assert_problem(harness.post(CHAT, json=ASKED, headers=bearer("op")), 403)
    with harness.client.post(CHAT, json=ASKED, headers=sessions["ann"], buffered=False) as answer:
        job_id = answer.headers["Tokentail-Job"]
    assert json_of(harness.get(f"/v1/jobs/{job_id}", headers=bearer("web")))["user"] == "ann"
    for headers in (sessions["bob"], bearer("web"), bearer("other")):
        assert resumed(harness, headers=headers).status_code == 204
        assert harness.post(f"{CHAT}/one/stop", headers=headers).status_code == 204
    assert harness.backend.store.view(job_id).status == "queued"
    assert harness.post(f"{CHAT}/one/stop", headers=sessions["ann"]).status_code == 204
    assert harness.backend.store.view(job_id).status == "cancelled"
    assert chunks_of(resumed(harness, headers=sessions["ann"]))[-1] == {"type": "abort"}


def _left(clients: Clients) -> str:
    """The job of a chat whose reader left."""
    with clients.harness.client.post(CHAT, json=ASKED, buffered=False) as answer:
        return answer.headers["Tokentail-Job"]
