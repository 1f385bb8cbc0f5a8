"""Polls over HTTP: what a client reads of a job, by whatever cursor and however patiently."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End, Reasoning

LONG = "wait=20"  # seconds; a test that makes use of them has found a lost wake-up


def test_a_queued_job_is_polled_with_nothing_yet(harness: HttpHarness) -> None:
    """A short poll of a queued job answers at once, with a cursor and the poll interval."""
    job_id = harness.submitted()
    body = harness.poll(job_id)
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


def test_the_four_line_client_reads_every_token_once(harness: HttpHarness) -> None:
    """Clear at a reset, append the tokens, keep the cursor, stop at done: that is all a client needs."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    text, cursor = "", "0"
    for said in ("Hel", "lo", ' "wörld"\n\u2028', "🙂"):
        harness.worker.say(writer, said)
        body = harness.poll(job_id, f"cursor={cursor}")
        text = ("" if body["reset"] else text) + "".join(body["tokens"])
        cursor = body["cursor"]
    harness.worker.say(writer, COMPLETED)
    body = harness.poll(job_id, f"cursor={cursor}")
    assert text + "".join(body["tokens"]) == 'Hello "wörld"\n\u2028🙂'
    assert body["done"]
    assert body["poll_after_ms"] == 0
    assert body["finish_reason"] == "stop"
    assert body["usage"] == {"input_tokens": 3, "output_tokens": 2, "reasoning_tokens": None, "cached_tokens": None}
    assert body["error"] is None


def test_a_limit_cuts_the_batch_and_says_that_there_is_more(harness: HttpHarness) -> None:
    """`limit` counts log elements; as long as more is there, the next poll may come at once and is not the last."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a", "b", "c")
    bodies = [harness.poll(job_id, "limit=2")]  # the start, and "a"
    while not bodies[-1]["done"]:
        bodies.append(harness.poll(job_id, f"limit=2&cursor={bodies[-1]['cursor']}"))
    assert [body["tokens"] for body in bodies] == [["a"], ["b", "c"], []]
    assert [body["poll_after_ms"] for body in bodies] == [0, 0, 0]
    assert "finish_reason" not in bodies[0]


def test_a_cursor_from_a_lost_past_is_answered_with_a_reset(harness: HttpHarness) -> None:
    """Law 1: a poll with a cursor that is not good gets the current generation from its start."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a")
    body = harness.poll(job_id, "cursor=zzzz.7")
    assert body["reset"]
    assert body["tokens"] == ["a"]


def test_a_malformed_cursor_is_told(harness: HttpHarness) -> None:
    """A cursor that no server made is a 400, not a guess."""
    job_id = harness.submitted()
    for cursor in ("-1", "abc", "a.b", "1", "abc.1%00", "%D9%A1.1", "null"):
        assert_problem(harness.get(f"/v1/jobs/{job_id}/tokens?cursor={cursor}"), 400)


@pytest.mark.parametrize(
    "query", ["wait=x", "wait=-1", "wait=NaN", "wait=Infinity", "wait=1e3", "wait=%D9%A1", "wait="]
)
def test_a_wait_that_is_no_number_is_named(harness: HttpHarness, query: str) -> None:
    """A wait that cannot be read is a 422 that names it."""
    document = assert_problem(harness.get(f"/v1/jobs/{harness.submitted()}/tokens?{query}"), 422)
    assert [error["field"] for error in document["errors"]] == ["wait"]


def test_every_unreadable_parameter_is_named_at_once(harness: HttpHarness) -> None:
    """One response has all faults, and parameters that clients and proxies add are let pass."""
    path = f"/v1/jobs/{harness.submitted()}/tokens"
    document = assert_problem(harness.get(f"{path}?limit=0&linger_ms=1.5&wait=-2"), 422)
    assert sorted(error["field"] for error in document["errors"]) == ["limit", "linger_ms", "wait"]
    assert harness.get(f"{path}?utm_source=green&limit=99999999").status_code == 200


def test_a_long_poll_is_answered_by_the_first_token(harness: HttpHarness) -> None:
    """A waiting poll is answered for a token, not for events before it, and not at the end of a pause."""
    job_id = harness.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(harness.poll, job_id, LONG)
        eventually(lambda: harness.is_followed(job_id))
        writer = harness.worker.take(job_id)
        harness.worker.say(writer, Reasoning("hm"))
        harness.worker.say(writer, "a")
        body = reader.result(10)
    assert body["tokens"] == ["a"]
    assert body["poll_after_ms"] == 0, "the next poll waits on the server"


def test_a_long_poll_is_answered_by_cancel_and_delete(harness: HttpHarness) -> None:
    """A waiting poll is answered at once when nothing will come any more."""
    for method, call, status in (("POST", "/cancel", 200), ("DELETE", "", 410)):
        job_id = harness.submitted()
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(harness.get, f"/v1/jobs/{job_id}/tokens?{LONG}")
            eventually(partial(harness.is_followed, job_id))
            harness.client.open(f"/v1/jobs/{job_id}{call}", method=method)
            assert reader.result(10).status_code == status


def test_a_long_poll_ends_with_what_there_is(harness: HttpHarness) -> None:
    """A wait that is over is answered with an empty batch and a cursor that goes on."""
    job_id = harness.submitted()
    body = harness.poll(job_id, "wait=0.05")
    assert body["tokens"] == []
    assert not body["done"]
    harness.worker.answer(job_id, "a")
    assert harness.poll(job_id, f"cursor={body['cursor']}")["tokens"] == ["a"]


def test_a_wait_above_the_maximum_is_shortened(make_harness: MakeHarness) -> None:
    """Asking for too long a wait is no fault; the server waits as long as it may."""
    harness = make_harness(TOKENTAIL_MAX_WAIT_S="0.1")
    began = time.monotonic()
    harness.poll(harness.submitted(), "wait=100000000000000")
    assert time.monotonic() - began < 10


def test_lingering_gathers_what_follows_the_first_token(harness: HttpHarness) -> None:
    """`linger_ms` trades a little time for fewer polls; the end is not waited for."""
    job_id = harness.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(harness.poll, job_id, f"{LONG}&linger_ms=5000")
        eventually(lambda: harness.is_followed(job_id))
        writer = harness.worker.take(job_id)
        for said in ("a", "b", "c"):
            harness.worker.say(writer, said)
        harness.worker.say(writer, COMPLETED)
        body = reader.result(4)
    assert body["tokens"] == ["a", "b", "c"]
    assert body["done"]


def test_without_a_seat_a_long_poll_is_a_short_one(make_harness: MakeHarness) -> None:
    """Waiting polls never take the last threads: beyond their share a poll is answered at once, and told to pause."""
    harness = make_harness(TOKENTAIL_WEB_THREADS="4", TOKENTAIL_MAX_KEY_WAITS="2")
    job_id = harness.submitted()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(harness.poll, job_id, LONG) for _ in range(2)]
        eventually(lambda: harness.waits() == 2)
        body = harness.poll(job_id, LONG)
        assert body["tokens"] == []
        assert body["poll_after_ms"] > 0
        harness.worker.answer(job_id, "a")
        assert [reader.result(10)["tokens"] for reader in waiting] == [["a"], ["a"]]


def test_a_short_poll_has_no_place_and_has_its_job_followed(harness: HttpHarness) -> None:
    """A poll without a wait costs at most one read; the process follows its job, to answer later polls from memory."""
    job_id = harness.submitted()
    harness.poll(job_id)
    harness.poll(job_id, "wait=0&linger_ms=50")
    assert harness.waits() == 0
    eventually(lambda: harness.is_followed(job_id), what="the job is followed")


def test_who_waits_from_the_beginning_is_never_reset(harness: HttpHarness) -> None:
    """A generation that is replaced before it was shown is nothing to clear, and no reason to answer."""
    job_id = harness.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(harness.poll, job_id, LONG)
        eventually(lambda: harness.is_followed(job_id))
        writer = harness.worker.take(job_id)
        writer.start("second", "demo", "demo")
        harness.worker.drain(writer)
        harness.worker.say(writer, "new")
        body = reader.result(10)
    assert (body["reset"], body["tokens"]) == (False, ["new"])


def test_events_are_the_log_itself(harness: HttpHarness) -> None:
    """`/events` gives every element of the generation as it is stored, in order, the end included."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, Reasoning("hm"), "a", COMPLETED)
    body = harness.poll(job_id, kind="events")
    start, reasoning, token, end = body["events"]
    assert start["type"] == "start"
    assert reasoning == {"type": "reasoning", "text": "hm"}
    assert token == "a"
    assert (end["type"], end["status"]) == ("end", "completed")
    assert body["done"]


def test_a_waiting_reader_of_events_hears_of_the_start(harness: HttpHarness) -> None:
    """With events, any element is news."""
    job_id = harness.submitted()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(harness.poll, job_id, LONG, "events")
        eventually(lambda: harness.is_followed(job_id))
        harness.worker.take(job_id)
        assert [event["type"] for event in reader.result(10)["events"]] == ["start"]


def test_a_failed_generation_is_a_successful_read(harness: HttpHarness) -> None:
    """The poll of a failed job is 200, with the problem inside and the tokens that came before it."""
    job_id = harness.submitted()
    failure = Failure(FailureKind.OVERLOADED, "The provider is overloaded.", is_retryable=True, provider_status=529)
    harness.worker.say(harness.worker.take(job_id), "a", End(Status.FAILED, error=failure))
    body = harness.poll(job_id)
    assert (body["status"], body["done"], body["tokens"]) == ("failed", True, ["a"])
    assert body["error"]["type"] == "overloaded"
    assert body["error"]["provider_status"] == 529


def test_a_new_generation_resets_who_read_the_old_one(harness: HttpHarness) -> None:
    """A retry after tokens were shown is a new answer: readers receive `reset`, and clear what they have."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "old")
    cursor = harness.poll(job_id)["cursor"]
    writer.start("second", "demo", "demo")
    harness.worker.say(writer, "new", COMPLETED)
    body = harness.poll(job_id, f"cursor={cursor}")
    assert (body["reset"], body["tokens"]) == (True, ["new"])
    assert not harness.poll(job_id, "cursor=0")["reset"], "a reader without text has nothing to clear"


def test_text_is_the_answer_so_far_with_a_tag(harness: HttpHarness) -> None:
    """`/text` is the current generation as plain text; its tag changes with every element and at the end."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    tags = set()
    for said in ("Hel", "lo\r\n", COMPLETED):
        harness.worker.say(writer, said)
        answer = harness.get(f"/v1/jobs/{job_id}/text")
        tags.add(answer.headers["ETag"])
    assert answer.data == b"Hello\r\n"
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["Tokentail-Status"] == "completed"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert len(tags) == 3
    marked_by_apache = answer.headers["ETag"].removesuffix('"') + '-gzip"'
    for match in (answer.headers["ETag"], f'"x", W/{answer.headers["ETag"]}', "*", marked_by_apache):
        again = harness.get(f"/v1/jobs/{job_id}/text", headers={"If-None-Match": match})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == answer.headers["ETag"]


def test_a_long_text_is_read_whole(harness: HttpHarness) -> None:
    """A text of more elements than one read gives is joined without a gap."""
    job_id = harness.submitted()
    said = [f"{n} " for n in range(12_345)]
    harness.worker.answer(job_id, *said)
    assert harness.get(f"/v1/jobs/{job_id}/text").text == "".join(said)


def test_head_is_a_get_without_body_and_without_waiting(harness: HttpHarness) -> None:
    """HEAD answers like GET, at once."""
    answer = harness.client.head(f"/v1/jobs/{harness.submitted()}/tokens?{LONG}")
    assert (answer.status_code, answer.data) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 50


def test_polls_are_kept_by_nobody(harness: HttpHarness) -> None:
    """A poll's answer is never cached, and never taken for anything but JSON."""
    answer = harness.get(f"/v1/jobs/{harness.submitted()}/tokens")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content_type == "application/json"
    assert json_of(answer)


def test_several_jobs_are_polled_in_one_request(harness: HttpHarness) -> None:
    """Each has the body that its own poll would get, from its own cursor; one that is not there has its problem."""
    first, second = harness.submitted(), harness.submitted()
    harness.worker.answer(first, "a", "b")
    cursor = harness.poll(first, "limit=2")["cursor"]
    nobody = "0" * 26
    bodies = json_of(harness.get(f"/v1/poll?job={first}:{cursor}&job={second}&job={nobody}:0"))["jobs"]
    assert bodies[0] == harness.poll(first, f"cursor={cursor}")
    assert bodies[0]["tokens"] == ["b"]
    assert (bodies[1]["job_id"], bodies[1]["tokens"], bodies[1]["done"]) == (second, [], False)
    assert (bodies[2]["job_id"], bodies[2]["problem"]["status"]) == (nobody, 404)


def test_a_poll_of_several_is_answered_for_the_first_news_of_any(harness: HttpHarness) -> None:
    """A poll of several jobs waits for all of them at once."""
    jobs = [harness.submitted() for _ in range(3)]
    query = "&".join(f"job={job_id}:0.1" for job_id in jobs)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(harness.get, f"/v1/poll?{query}&{LONG}")
        eventually(lambda: all(harness.is_followed(job_id) for job_id in jobs))
        harness.worker.say(harness.worker.take(jobs[2]), "news")
        bodies = json_of(reader.result(5))["jobs"]
    assert [body["tokens"] for body in bodies] == [[], [], ["news"]]
    assert [body["poll_after_ms"] for body in bodies][2] == 0


def test_a_poll_of_several_may_ask_for_events(harness: HttpHarness) -> None:
    """With `events=1` bodies have all elements, and an event alone ends the wait."""
    thinking, other = harness.submitted(), harness.submitted()
    writer = harness.worker.take(thinking)
    harness.worker.say(writer, Reasoning("hm"))
    cursor = json_of(harness.get(f"/v1/jobs/{thinking}/events"))["cursor"]
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(harness.get, f"/v1/poll?job={thinking}:{cursor}&job={other}:0.1&events=1&rnd=x&{LONG}")
        eventually(lambda: all(harness.is_followed(job_id) for job_id in (thinking, other)))
        harness.worker.say(writer, Reasoning("well"))
        first, second = json_of(reader.result(5))["jobs"]
    assert [event["text"] for event in first["events"]] == ["well"]
    assert (second["events"], "tokens" in second) == ([], False)
    assert_problem(harness.get(f"/v1/poll?job={other}&events=yes"), 422)


@pytest.mark.parametrize("garbage", ["", "x", "undefined", "%00%0d", "x" * 5000, "%F0%9F%92%A9"])
def test_what_is_no_id_does_not_spoil_the_poll_of_the_others(harness: HttpHarness, garbage: str) -> None:
    """A garbage id has its problem, at once and in few bytes; the other jobs have their tokens."""
    good = harness.submitted()
    harness.worker.answer(good, "a", "b")
    first, second, third = json_of(harness.get(f"/v1/poll?job={garbage}&job={good}&job={garbage}:0&wait=20"))["jobs"]
    assert second["tokens"] == ["a", "b"]
    assert first == third
    assert (first["problem"]["status"], len(first["job_id"]) <= 200) == (404, True)
    (alone,) = json_of(harness.get(f"/v1/poll?job={garbage}&wait=20"))["jobs"]
    assert alone == first


@pytest.mark.parametrize(
    ("query", "status"), [("", 422), ("wait=1", 422), ("job=" + "0" * 26 + ":x", 400), ("job=x:y", 400)]
)
def test_a_poll_of_several_that_names_none_is_told(harness: HttpHarness, query: str, status: int) -> None:
    """What is missing or cannot be read."""
    assert_problem(harness.get(f"/v1/poll?{query}"), status)


def test_what_cannot_change_any_more_may_be_kept_by_its_client(harness: HttpHarness) -> None:
    """The last answer, for a minute, by nobody else; everything before it by nobody."""
    job_id = harness.submitted()
    assert harness.get(f"/v1/jobs/{job_id}/tokens").headers["Cache-Control"] == "no-store"
    harness.worker.answer(job_id, "a")
    assert harness.get(f"/v1/jobs/{job_id}/tokens?limit=1").headers["Cache-Control"] == "no-store"

    def is_kept() -> bool:
        return harness.get(f"/v1/jobs/{job_id}/tokens").headers["Cache-Control"] == "private, max-age=60"

    eventually(is_kept)  # a follower that got the end by a message has to ask how long the job is kept
