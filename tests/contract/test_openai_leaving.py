"""OpenAI's interfaces over both bindings when an answer does not arrive: stops of the server, clients that hang up."""

from typing import Any

import pytest

from app.openai.numbers import first_number
from tests.contract.openai_clients import ASKED, CHAT, REPEAT, RESPONSES, Clients, clients
from tests.http_harness import json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.log.cursor import BEGINNING
from tokentail.redis.keys import job_keys, repeat_key, unseen_key
from tokentail.redis.repeats import question_of

__all__ = ["clients"]  # a fixture

# A WSGI server does not say that its client has hung up.
HANGUPS = pytest.mark.parametrize("make_harness", ["plane-valkey"], indirect=True)
BOTH = pytest.mark.parametrize(("path", "body"), [(CHAT, ASKED), (RESPONSES, {"model": "demo", "input": "Hi"})])


@BOTH
def test_a_stop_is_no_delivery(clients: Clients, path: str, body: dict[str, Any]) -> None:
    """The answer of a process that stops leaves the job alone, and the SDK's repeat takes that job."""
    asked = clients.post(path, body)
    job_id = clients.new_job()
    clients.stop()
    told = asked.result()
    assert (told.status_code, json_of(told)["error"]["code"]) == (503, "server_stopping")
    assert told.headers["Retry-After"]
    assert told.headers["x-request-id"] == job_id
    assert "x-should-retry" not in told.headers
    assert clients.harness.poll(job_id)["status"] == "queued"
    clients.harness.worker.answer(job_id, "Hello")
    again = clients.post(path, body, REPEAT).result()
    assert (again.status_code, again.headers["x-request-id"]) == (200, job_id)
    assert clients.job_count() == 1


@BOTH
def test_a_stream_that_a_stop_ends_has_an_error_and_no_marker(
    clients: Clients, path: str, body: dict[str, Any]
) -> None:
    """A client that has some of the answer would take a clean end for all of it. The job is not erased either."""
    if path == RESPONSES:
        body = {**body, "store": False}
    asked = clients.post(path, {**body, "stream": True})
    job_id = clients.new_job()
    writer = clients.harness.worker.take(job_id)
    clients.harness.worker.say(writer, "Hel")
    eventually(lambda: clients.harness.waits() > 0, what="the stream waits")
    clients.stop()
    text = asked.result().get_data(as_text=True)
    assert "server_stopping" in text or asked.result().status_code == 503
    assert job_id in text or asked.result().status_code == 503
    assert "[DONE]" not in text
    assert "response.completed" not in text
    clients.harness.worker.say(writer, "lo", COMPLETED)
    assert clients.harness.poll(job_id)["tokens"] == ["Hel", "lo"]


@BOTH
@pytest.mark.parametrize("is_stream", [True, False])
def test_an_event_that_cannot_be_read_ends_an_answer_with_an_error(
    clients: Clients, path: str, body: dict[str, Any], *, is_stream: bool
) -> None:
    """Another program has written into the log what is JSON and no event of ours."""
    asked = clients.post(path, {**body, "stream": is_stream})
    job_id = clients.new_job()
    clients.harness.worker.say(clients.harness.worker.take(job_id), "Hel")
    log = job_keys(job_id)[1]
    store = clients.harness.backend.store.client
    store.rpush(log, b'{"type":"tool_call","name":5}')
    store.publish(log, b"foreign")  # so that every process reads again
    answer = asked.result()
    assert "unreadable" in answer.get_data(as_text=True)
    assert "[DONE]" not in answer.get_data(as_text=True)
    assert answer.headers["x-request-id"] == job_id


@HANGUPS
@BOTH
def test_a_question_whose_client_hung_up_unseen_is_asked_once_again(
    clients: Clients, path: str, body: dict[str, Any]
) -> None:
    """The next equal POST takes the job, without any sign of a repeat; the one after it is a new question."""
    left = clients.hang_up(path, body)
    again = clients.post(path, body, {"Idempotency-Key": "nginx-gives-each-request-one"})
    assert clients.job_count() == 1
    other = clients.post(path, body)
    new = clients.new_job()
    clients.harness.worker.answer(left, "one")
    clients.harness.worker.answer(new, "two")
    assert again.result().headers["x-request-id"] == left
    assert other.result().headers["x-request-id"] == new


@HANGUPS
def test_a_client_that_hung_up_is_waited_for_for_a_few_seconds(clients: Clients) -> None:
    """Less than a job without readers goes on; a client that has received a byte is not waited for at all."""
    clients.hang_up(CHAT, ASKED)
    store = clients.harness.backend.store.client
    (key,) = store.keys(unseen_key("*"))
    assert 5000 < store.pttl(key) <= 8000
    store.delete(key)  # as time does
    clients.post(CHAT, ASKED)
    assert clients.job_count() == 2
    with clients.harness.client.post(CHAT, json={**ASKED, "stream": True, "seed": 1}, buffered=False) as _:
        pass
    assert not store.keys(unseen_key("*"))


@HANGUPS
def test_a_repeat_that_says_so_leaves_nothing_for_the_next_equal_question(clients: Clients) -> None:
    """Clients hang up and repeat with the SDK's sign; a later equal call without one is a question of its own."""
    left = clients.hang_up(CHAT, ASKED)
    clients.post(CHAT, ASKED, REPEAT)
    clients.post(CHAT, ASKED)
    other = clients.new_job()
    for job_id in (left, other):
        clients.harness.worker.answer(job_id, "x")
    assert clients.job_count() == 2


def test_a_key_of_the_clients_own_keeps_standing_for_its_job(clients: Clients) -> None:
    """A repeat takes the newest job of its bytes, but a key that a client gave an earlier one means that one."""
    mine = clients.post(CHAT, ASKED, {"Idempotency-Key": "mine"})
    mine_id = clients.new_job()
    other = clients.post(CHAT, ASKED, {"Idempotency-Key": "other"})
    other_id = clients.new_job()
    again = clients.post(CHAT, ASKED, {"Idempotency-Key": "mine", **REPEAT})
    by_gateway = clients.post(CHAT, ASKED, {"Idempotency-Key": "of-nginx", **REPEAT})
    for job_id in (mine_id, other_id):
        clients.harness.worker.answer(job_id, "x")
    assert mine.result().headers["x-request-id"] == again.result().headers["x-request-id"] == mine_id
    assert other.result().headers["x-request-id"] == by_gateway.result().headers["x-request-id"] == other_id
    assert clients.job_count() == 2


def test_records_of_repeats_that_cannot_be_read_are_removed(clients: Clients) -> None:
    """Another program has left keys of other types there: the POST is a new question."""
    body = b'{"model":"demo","messages":[{"role":"user","content":"Hi"}]}'
    question = question_of("", CHAT, body)
    store = clients.harness.backend.store.client
    for key in (repeat_key(question), unseen_key(question)):
        store.rpush(key, "foreign")
    asked = clients.post_bytes(CHAT, body, REPEAT)
    clients.harness.worker.answer(clients.new_job(), "x")
    assert asked.result().status_code == 200


@pytest.mark.parametrize("count", ["0", "", "-1", "x", "²", "1.5", "9" * 5000])
def test_a_retry_count_that_is_no_number_above_zero_is_no_repeat(clients: Clients, count: str) -> None:
    """An absurdly long number is a repeat; nothing of it is a fault of the server."""
    first = clients.post(CHAT, ASKED)
    job_id = clients.new_job()
    second = clients.post(CHAT, ASKED, {"x-stainless-retry-count": count.encode().decode("latin-1")})
    assert clients.job_count() == (1 if len(count) > 100 else 2)
    clients.harness.worker.answer(job_id, "x")
    for new in {job["id"] for job in json_of(clients.harness.get("/v1/jobs"))["jobs"]} - {job_id}:
        clients.harness.worker.answer(new, "x")
    assert first.result().status_code == second.result().status_code == 200


def test_a_resume_begins_with_a_checked_number(clients: Clients) -> None:
    """A number behind the log's end, of another generation or of a deleted job is refused at once."""
    made = json_of(clients.harness.post(RESPONSES, json={"model": "demo", "input": "Hi", "background": True}))["id"]
    job_id = made.removeprefix("resp_")
    writer = clients.harness.worker.take(job_id)
    clients.harness.worker.say(writer, "Hel")

    def resumed(number: int) -> tuple[int, str | None]:
        answer = clients.harness.get(f"{RESPONSES}/{made}?stream=true&starting_after={number}")
        answer.get_data()  # to its end
        return answer.status_code, json_of(answer)["error"]["code"] if answer.status_code != 200 else None

    batch = clients.harness.backend.store.read(job_id, BEGINNING, 10)
    number = first_number(batch.length - 1, batch.generation)
    for wrong in (number + (100 << 14), number ^ (1 << 4), 5, 999999):
        assert resumed(wrong) == (409, "generation_restarted"), wrong
    clients.harness.worker.say(writer, "lo", COMPLETED)
    assert resumed(number) == (200, None)
    clients.harness.delete(job_id)
    for wrong in (number, 0, 999999):
        assert resumed(wrong) == (404, "not_found")
