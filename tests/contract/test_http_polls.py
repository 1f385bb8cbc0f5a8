"""Polls over HTTP: what a client reads of a job, by whatever cursor and however patiently."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.http_house import HttpHouse, MakeHouse, assert_problem, json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.element import End, Reasoning
from tokentail.job import Failure, FailureKind, Status

LONG = "wait=20"  # seconds; a test that makes use of them has found a lost wake-up


def test_a_queued_job_is_polled_with_nothing_yet(house: HttpHouse) -> None:
    """A short poll of a queued job answers at once, with a cursor and when to come again."""
    job_id = house.submitted()
    body = house.poll(job_id)
    assert body == {
        "job_id": job_id,
        "status": "queued",
        "tokens": [],
        "cursor": body["cursor"],
        "reset": False,
        "done": False,
        "poll_after_ms": 250,
    }
    assert body["cursor"] != "0"


def test_the_four_line_client_reads_every_token_once(house: HttpHouse) -> None:
    """Clear at a reset, append the tokens, keep the cursor, stop at done: that is all a client needs."""
    job_id = house.submitted()
    writer = house.worker.take(job_id)
    text, cursor = "", "0"
    for said in ("Hel", "lo", ' "wörld"\n\u2028', "🙂"):
        house.worker.say(writer, said)
        body = house.poll(job_id, f"cursor={cursor}")
        text = ("" if body["reset"] else text) + "".join(body["tokens"])
        cursor = body["cursor"]
    house.worker.say(writer, COMPLETED)
    body = house.poll(job_id, f"cursor={cursor}")
    assert text + "".join(body["tokens"]) == 'Hello "wörld"\n\u2028🙂'
    assert body["done"]
    assert body["poll_after_ms"] == 0
    assert body["finish_reason"] == "stop"
    assert body["usage"] == {"input_tokens": 3, "output_tokens": 2, "reasoning_tokens": None, "cached_tokens": None}
    assert body["error"] is None


def test_a_limit_cuts_the_batch_and_says_that_there_is_more(house: HttpHouse) -> None:
    """`limit` counts log elements; as long as more is there, the next poll may come at once and is not the last."""
    job_id = house.submitted()
    house.worker.answer(job_id, "a", "b", "c")
    bodies = [house.poll(job_id, "limit=2")]  # the start, and "a"
    while not bodies[-1]["done"]:
        bodies.append(house.poll(job_id, f"limit=2&cursor={bodies[-1]['cursor']}"))
    assert [body["tokens"] for body in bodies] == [["a"], ["b", "c"], []]
    assert [body["poll_after_ms"] for body in bodies] == [0, 0, 0]
    assert "finish_reason" not in bodies[0]


def test_a_cursor_from_a_lost_past_is_answered_with_a_reset(house: HttpHouse) -> None:
    """Law 1: whoever comes with a cursor that is not good gets the current generation from its start."""
    job_id = house.submitted()
    house.worker.answer(job_id, "a")
    body = house.poll(job_id, "cursor=zzzz.7")
    assert body["reset"]
    assert body["tokens"] == ["a"]


def test_a_malformed_cursor_is_told(house: HttpHouse) -> None:
    """A cursor that no server made is a 400, not a guess."""
    job_id = house.submitted()
    for cursor in ("-1", "abc", "a.b", "1", "abc.1%00", "%D9%A1.1", "null"):
        assert_problem(house.get(f"/v1/jobs/{job_id}/tokens?cursor={cursor}"), 400)


@pytest.mark.parametrize(
    "query", ["wait=x", "wait=-1", "wait=NaN", "wait=Infinity", "wait=1e3", "wait=%D9%A1", "wait="]
)
def test_a_wait_that_is_no_number_is_named(house: HttpHouse, query: str) -> None:
    """A wait that cannot be read is a 422 that names it."""
    document = assert_problem(house.get(f"/v1/jobs/{house.submitted()}/tokens?{query}"), 422)
    assert [error["field"] for error in document["errors"]] == ["wait"]


def test_every_unreadable_parameter_is_named_at_once(house: HttpHouse) -> None:
    """Faults are told together, and parameters that a call does not know are ignored."""
    path = f"/v1/jobs/{house.submitted()}/tokens"
    document = assert_problem(house.get(f"{path}?limit=0&linger_ms=1.5&wait=-2"), 422)
    assert sorted(error["field"] for error in document["errors"]) == ["limit", "linger_ms", "wait"]
    assert house.get(f"{path}?colour=green&limit=99999999").status_code == 200


def test_a_long_poll_is_answered_by_the_first_token(house: HttpHouse) -> None:
    """Who waits is woken by a token, not by events before it, and not by the end of a pause."""
    job_id = house.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(house.poll, job_id, LONG)
        eventually(lambda: house.is_followed(job_id))
        writer = house.worker.take(job_id)
        house.worker.say(writer, Reasoning("hm"))
        house.worker.say(writer, "a")
        body = reader.result(10)
    assert body["tokens"] == ["a"]
    assert body["poll_after_ms"] == 0, "the next poll waits on the server"


def test_a_long_poll_is_answered_by_cancel_and_delete(house: HttpHouse) -> None:
    """Who waits hears at once that nothing will come any more."""
    for method, call, status in (("POST", "/cancel", 200), ("DELETE", "", 410)):
        job_id = house.submitted()
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(house.get, f"/v1/jobs/{job_id}/tokens?{LONG}")
            eventually(partial(house.is_followed, job_id))
            house.client.open(f"/v1/jobs/{job_id}{call}", method=method)
            assert reader.result(10).status_code == status


def test_a_long_poll_ends_with_what_there_is(house: HttpHouse) -> None:
    """A wait that is over is answered with an empty batch and a cursor that goes on."""
    job_id = house.submitted()
    body = house.poll(job_id, "wait=0.05")
    assert body["tokens"] == []
    assert not body["done"]
    house.worker.answer(job_id, "a")
    assert house.poll(job_id, f"cursor={body['cursor']}")["tokens"] == ["a"]


def test_a_wait_above_the_maximum_is_shortened(make_house: MakeHouse) -> None:
    """Asking for too long a wait is no fault; the server waits as long as it may."""
    house = make_house(TOKENTAIL_MAX_WAIT_S="0.1")
    began = time.monotonic()
    house.poll(house.submitted(), "wait=100000000000000")
    assert time.monotonic() - began < 10


def test_lingering_gathers_what_follows_the_first_token(house: HttpHouse) -> None:
    """`linger_ms` trades a little time for fewer polls; the end is not waited for."""
    job_id = house.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(house.poll, job_id, f"{LONG}&linger_ms=5000")
        eventually(lambda: house.is_followed(job_id))
        writer = house.worker.take(job_id)
        for said in ("a", "b", "c"):
            house.worker.say(writer, said)
        house.worker.say(writer, COMPLETED)
        body = reader.result(4)
    assert body["tokens"] == ["a", "b", "c"]
    assert body["done"]


def test_without_a_seat_a_long_poll_is_a_short_one(make_house: MakeHouse) -> None:
    """Waiting polls never take the last threads: beyond their share a poll is answered at once, and told to pause."""
    house = make_house(TOKENTAIL_WEB_THREADS="4", TOKENTAIL_MAX_KEY_WAITS="2")
    job_id = house.submitted()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(house.poll, job_id, LONG) for _ in range(2)]
        eventually(lambda: house.waits() == 2)
        body = house.poll(job_id, LONG)
        assert body["tokens"] == []
        assert body["poll_after_ms"] > 0
        house.worker.answer(job_id, "a")
        assert [reader.result(10)["tokens"] for reader in waiting] == [["a"], ["a"]]


def test_a_short_poll_subscribes_to_nothing(house: HttpHouse) -> None:
    """Who does not wait costs one read, and leaves no subscription behind."""
    job_id = house.submitted()
    house.poll(job_id)
    house.poll(job_id, "wait=0&linger_ms=50")
    assert house.waits() == 0
    if house.plane is None:
        assert not house.is_followed(job_id), "the read plane follows what was polled, and answers from memory"


def test_who_waits_from_the_beginning_is_never_reset(house: HttpHouse) -> None:
    """A generation that is replaced before it was shown is nothing to clear, and no reason to answer."""
    job_id = house.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(house.poll, job_id, LONG)
        eventually(lambda: house.is_followed(job_id))
        writer = house.worker.take(job_id)
        writer.start("second", "demo", "demo")
        house.worker.drain(writer)
        house.worker.say(writer, "new")
        body = reader.result(10)
    assert (body["reset"], body["tokens"]) == (False, ["new"])


def test_events_are_the_log_itself(house: HttpHouse) -> None:
    """`/events` gives every element of the generation as it is stored, in order, the end included."""
    job_id = house.submitted()
    writer = house.worker.take(job_id)
    house.worker.say(writer, Reasoning("hm"), "a", COMPLETED)
    body = house.poll(job_id, kind="events")
    start, reasoning, token, end = body["events"]
    assert start["type"] == "start"
    assert reasoning == {"type": "reasoning", "text": "hm"}
    assert token == "a"
    assert (end["type"], end["status"]) == ("end", "completed")
    assert body["done"]


def test_a_waiting_reader_of_events_hears_of_the_start(house: HttpHouse) -> None:
    """With events, any element is news."""
    job_id = house.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(house.poll, job_id, LONG, "events")
        eventually(lambda: house.is_followed(job_id))
        house.worker.take(job_id)
        assert [event["type"] for event in reader.result(10)["events"]] == ["start"]


def test_a_failed_generation_is_a_successful_read(house: HttpHouse) -> None:
    """The poll of a failed job is 200, with the problem inside and the tokens that came before it."""
    job_id = house.submitted()
    failure = Failure(FailureKind.OVERLOADED, "The provider is overloaded.", is_retryable=True, provider_status=529)
    house.worker.say(house.worker.take(job_id), "a", End(Status.FAILED, error=failure))
    body = house.poll(job_id)
    assert (body["status"], body["done"], body["tokens"]) == ("failed", True, ["a"])
    assert body["error"]["type"] == "overloaded"
    assert body["error"]["provider_status"] == 529


def test_a_new_generation_resets_who_read_the_old_one(house: HttpHouse) -> None:
    """A retry after tokens were shown is a new answer: readers are told to clear what they have."""
    job_id = house.submitted()
    writer = house.worker.take(job_id)
    house.worker.say(writer, "old")
    cursor = house.poll(job_id)["cursor"]
    writer.start("second", "demo", "demo")
    house.worker.say(writer, "new", COMPLETED)
    body = house.poll(job_id, f"cursor={cursor}")
    assert (body["reset"], body["tokens"]) == (True, ["new"])
    assert not house.poll(job_id, "cursor=0")["reset"], "who has nothing has nothing to clear"


def test_text_is_the_answer_so_far_with_a_tag(house: HttpHouse) -> None:
    """`/text` is the current generation as plain text; its tag changes with every element and at the end."""
    job_id = house.submitted()
    writer = house.worker.take(job_id)
    tags = set()
    for said in ("Hel", "lo\r\n", COMPLETED):
        house.worker.say(writer, said)
        answer = house.get(f"/v1/jobs/{job_id}/text")
        tags.add(answer.headers["ETag"])
    assert answer.data == b"Hello\r\n"
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["Tokentail-Status"] == "completed"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert len(tags) == 3
    for match in (answer.headers["ETag"], f'"x", W/{answer.headers["ETag"]}', "*"):
        again = house.get(f"/v1/jobs/{job_id}/text", headers={"If-None-Match": match})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == answer.headers["ETag"]


def test_a_long_text_is_read_whole(house: HttpHouse) -> None:
    """A text of more elements than one read gives is joined without a gap."""
    job_id = house.submitted()
    said = [f"{n} " for n in range(12_345)]
    house.worker.answer(job_id, *said)
    assert house.get(f"/v1/jobs/{job_id}/text").text == "".join(said)


def test_head_is_a_get_without_body_and_without_waiting(house: HttpHouse) -> None:
    """HEAD answers like GET, at once."""
    answer = house.client.head(f"/v1/jobs/{house.submitted()}/tokens?{LONG}")
    assert (answer.status_code, answer.data) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 50


def test_polls_are_kept_by_nobody(house: HttpHouse) -> None:
    """A poll's answer is never cached, and never taken for anything but JSON."""
    answer = house.get(f"/v1/jobs/{house.submitted()}/tokens")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content_type == "application/json"
    assert json_of(answer)


def test_several_jobs_are_polled_in_one_request(house: HttpHouse) -> None:
    """Each has the body that its own poll would get, from its own cursor; one that is not there has its problem."""
    first, second = house.submitted(), house.submitted()
    house.worker.answer(first, "a", "b")
    cursor = house.poll(first, "limit=2")["cursor"]
    nobody = "0" * 26
    bodies = json_of(house.get(f"/v1/poll?job={first}:{cursor}&job={second}&job={nobody}:0"))["jobs"]
    assert bodies[0] == house.poll(first, f"cursor={cursor}")
    assert bodies[0]["tokens"] == ["b"]
    assert (bodies[1]["job_id"], bodies[1]["tokens"], bodies[1]["done"]) == (second, [], False)
    assert (bodies[2]["job_id"], bodies[2]["problem"]["status"]) == (nobody, 404)


def test_a_poll_of_several_is_answered_for_the_first_news_of_any(house: HttpHouse) -> None:
    """It waits for all of them at once."""
    jobs = [house.submitted() for _ in range(3)]
    query = "&".join(f"job={job_id}:0.1" for job_id in jobs)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(house.get, f"/v1/poll?{query}&{LONG}")
        eventually(lambda: all(house.is_followed(job_id) for job_id in jobs))
        house.worker.say(house.worker.take(jobs[2]), "news")
        bodies = json_of(reader.result(5))["jobs"]
    assert [body["tokens"] for body in bodies] == [[], [], ["news"]]
    assert [body["poll_after_ms"] for body in bodies][2] == 0


@pytest.mark.parametrize(
    ("query", "status"), [("", 422), ("wait=1", 422), ("job=", 404), ("job=x", 404), ("job=" + "0" * 26 + ":x", 400)]
)
def test_a_poll_of_several_that_names_none_is_told(house: HttpHouse, query: str, status: int) -> None:
    """What is missing or cannot be read."""
    assert_problem(house.get(f"/v1/poll?{query}"), status)


def test_what_cannot_change_any_more_may_be_kept_by_its_client(house: HttpHouse) -> None:
    """The last answer, for a minute, by nobody else; everything before it by nobody."""
    job_id = house.submitted()
    assert house.get(f"/v1/jobs/{job_id}/tokens").headers["Cache-Control"] == "no-store"
    house.worker.answer(job_id, "a")
    assert house.get(f"/v1/jobs/{job_id}/tokens?limit=1").headers["Cache-Control"] == "no-store"

    def is_kept() -> bool:
        return house.get(f"/v1/jobs/{job_id}/tokens").headers["Cache-Control"] == "private, max-age=60"

    eventually(is_kept)  # whoever heard of the end by a message asks how long it is kept
