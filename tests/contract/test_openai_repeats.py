"""OpenAI's interfaces over both bindings while jobs run: repeats, deletions, failures, and what is not to be stored."""

from typing import Any

import pytest

from tests.contract.openai_clients import ASKED, CHAT, HI, REPEAT, RESPONSES, Clients, clients
from tests.http_harness import json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import Code, End

__all__ = ["clients"]  # a fixture

FAILED = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "It is busy.", is_retryable=True))


def test_a_repeat_takes_the_job_until_its_answer_was_delivered(clients: Clients) -> None:
    """Both get the one answer. The same bytes are a new question after that, whatever their retry count."""
    first = clients.post(CHAT, ASKED)
    job_id = clients.new_job()
    again = clients.post(CHAT, ASKED, {**REPEAT, "Idempotency-Key": "of-a-gateway"})
    clients.harness.worker.answer(job_id, "Hel", "lo")
    bodies = [json_of(each.result()) for each in (first, again)]
    assert bodies[0] == bodies[1]
    assert bodies[0]["choices"][0]["message"]["content"] == "Hello"
    clients.wait_for_delivery()
    later = clients.post(CHAT, ASKED, REPEAT)
    other_id = clients.new_job()
    clients.harness.worker.say(clients.harness.worker.take(other_id), FAILED)
    refused = later.result()
    assert (refused.status_code, refused.headers["x-request-id"]) == (503, other_id)
    assert refused.headers["x-should-retry"] == "false"
    clients.wait_for_delivery()  # an error is an answer, too
    last = clients.post(CHAT, ASKED, REPEAT)
    clients.harness.worker.answer(clients.new_job(), "x")
    assert last.result().status_code == 200


def test_twins_are_two_jobs_and_the_newer_is_still_found_when_the_older_was_delivered(clients: Clients) -> None:
    """Calls that are no repeats are two jobs, however equal; other bytes and paths are other questions."""
    older = clients.post(CHAT, ASKED)
    older_id = clients.new_job()
    newer = clients.post(CHAT, ASKED)
    newer_id = clients.new_job()
    clients.harness.worker.answer(older_id, "older")
    assert older.result().headers["x-request-id"] == older_id
    repeat = clients.post(CHAT, ASKED, REPEAT)
    assert clients.job_count() == 2
    clients.harness.worker.answer(newer_id, "newer")
    assert newer.result().headers["x-request-id"] == repeat.result().headers["x-request-id"] == newer_id


def test_a_repeat_of_a_cancelled_job_is_a_new_one(clients: Clients) -> None:
    """A cancel, from anywhere, is 409 where nothing was shown; the repeat asks anew."""
    for path, body in ((CHAT, ASKED), (RESPONSES, {"model": "demo", "input": "Hi"})):
        first = clients.post(path, body)
        job_id = clients.new_job()
        clients.harness.post(f"/v1/jobs/{job_id}/cancel")
        refused = first.result()
        assert (refused.status_code, json_of(refused)["error"]["code"]) == (409, "cancelled")
        assert refused.headers["x-should-retry"] == "false"
        again = clients.post(path, body, REPEAT)
        clients.harness.worker.answer(clients.new_job(), "x")
        assert again.result().status_code == 200


@pytest.mark.parametrize(("path", "body"), [(CHAT, ASKED), (RESPONSES, {"model": "demo", "input": "Hi"})])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_job_that_failed_unseen_has_its_true_status(
    clients: Clients, path: str, body: dict[str, Any], is_stream: bool
) -> None:
    """Elements of which the client sees nothing do not count as shown."""
    asked = clients.post(path, {**body, "stream": is_stream})
    job_id = clients.new_job()
    writer = clients.harness.worker.take(job_id)
    clients.harness.worker.say(writer, Code("c", "python", "1"), FAILED)
    refused = asked.result()
    assert (refused.status_code, json_of(refused)["error"]["code"]) == (503, "overloaded")
    assert refused.headers["Tokentail-Job"] == job_id


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_job_that_is_deleted_ends_its_streams_with_an_error(clients: Clients, path: str) -> None:
    """The error says what happened; the stream has no end marker."""
    asked = clients.post(path, {"model": "demo", "stream": True, "input" if path == RESPONSES else "messages": HI})
    job_id = clients.new_job()
    clients.harness.worker.say(clients.harness.worker.take(job_id), "Hel")
    clients.harness.delete(job_id)
    text = asked.result().get_data(as_text=True)
    assert "Hel" in text or asked.result().status_code == 404
    assert "not_found" in text
    assert "server_stopping" not in text
    assert "[DONE]" not in text
    assert "response.completed" not in text


def test_a_response_that_is_not_stored_is_erased_once_it_was_delivered(clients: Clients) -> None:
    """The client has the whole answer, and no interface has anything of the job any more."""
    for is_stream in (False, True):
        asked = clients.post(RESPONSES, {"model": "demo", "input": "Hi", "store": False, "stream": is_stream})
        job_id = clients.new_job()
        clients.harness.worker.say(clients.harness.worker.take(job_id), "Hello", COMPLETED)
        assert "Hello" in asked.result().get_data(as_text=True)
        eventually(lambda j=job_id: clients.harness.get(f"/v1/jobs/{j}").status_code == 410, what="it is erased")  # type: ignore[misc]


def test_a_turn_may_only_follow_one_that_is_there_and_has_ended(clients: Clients) -> None:
    """A running one is refused, a deleted or foreign one is not found; a reference names its item."""
    running = json_of(clients.harness.post(RESPONSES, json={"model": "demo", "input": "Hi", "background": True}))["id"]
    job_id = running.removeprefix("resp_")

    def turn(**fields: Any) -> tuple[int, str, str]:
        answer = clients.harness.post(RESPONSES, json={"model": "demo", "input": "And?", "background": True, **fields})
        error = json_of(answer).get("error") or {}
        return answer.status_code, error.get("code", ""), error.get("param", "")

    assert turn(previous_response_id=running) == (400, "invalid_value", "previous_response_id")
    reference = [{"type": "item_reference", "id": f"msg_{job_id}_0"}]
    assert turn(input=reference) == (400, "invalid_value", "input[0].id")
    clients.harness.worker.answer(job_id, "Hello")
    assert turn(previous_response_id=running)[0] == 200
    assert turn(input=[*HI, *reference])[0] == 200
    assert turn(input=[*HI, {"type": "item_reference", "id": f"msg_{job_id}_1"}]) == (404, "not_found", "input[1].id")
    clients.harness.delete(job_id)
    for gone in (running, f"resp_{'0' * 26}"):
        assert turn(previous_response_id=gone) == (404, "not_found", "previous_response_id")
    assert turn(input=reference) == (404, "not_found", "input[0].id")


def test_input_items_come_in_pages(clients: Clients) -> None:
    """Newest first unless asked otherwise; `limit` and `after` cut pages that lead through all of them."""
    items = [{"role": "user", "content": text} for text in ("a\x1b[1m", "b", "c")]
    made = json_of(clients.harness.post(RESPONSES, json={"model": "demo", "input": items, "background": True}))["id"]

    def page(query: str) -> Any:
        return json_of(clients.harness.get(f"{RESPONSES}/{made}/input_items{query}"))

    def texts(found: Any) -> list[str]:
        return [part["text"] for item in found["data"] for part in item["content"]]

    assert texts(page("")) == ["c", "b", "a[1m"]
    first = page("?order=asc&limit=2")
    assert (texts(first), first["has_more"]) == (["a[1m", "b"], True)
    rest = page(f"?order=asc&limit=2&after={first['last_id']}")
    assert (texts(rest), rest["has_more"]) == (["c"], False)
    for query, param in (("order=x", "order"), ("limit=0", "limit"), ("limit=1000", "limit"), ("after=x", "after")):
        assert page(f"?{query}")["error"]["param"] == param
