"""Durable Streams: reads of both streams of a job, once and by long poll, over both bindings."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.durable_reads import FAILED, facts, offset_of, read
from tests.contract.single_job import CANCELLED
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.log.element import Reasoning

BOTH = ["events", "text"]
SAID = ("Hel", "lo\r\nyou", "", " ", "🙂\u2028")


@pytest.mark.parametrize("kind", BOTH)
def test_a_read_gives_what_is_there_and_the_offset_behind_it(harness: HttpHarness, kind: str) -> None:
    """From each offset, the rest; at the tail nothing. The end of a completed job closes both streams."""
    job_id = harness.submitted()
    queued = read(harness, job_id, kind)
    assert (queued.status_code, queued.data) == (200, b"[]" if kind == "events" else b"")
    assert facts(queued).keys() == {"Next-Offset", "Up-To-Date"}
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, Reasoning("hm"), "Hel")
    first = read(harness, job_id, kind, "offset=-1")
    assert re.fullmatch(r"[0-9]{16}_[0-9a-z]+", offset_of(first))
    harness.worker.say(writer, "lo", COMPLETED)
    rest = read(harness, job_id, kind, f"offset={offset_of(first)}")
    whole = read(harness, job_id, kind)
    if kind == "events":
        kinds = [each if isinstance(each, str) else each["type"] for each in whole.get_json()]
        assert kinds == ["start", "reasoning", "Hel", "lo", "end"]
        assert first.get_json() + rest.get_json() == whole.get_json()
    else:
        assert (first.text, rest.text, whole.text) == ("Hel", "lo", "Hello")
        assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert facts(rest) == facts(whole) == {"Next-Offset": offset_of(whole), "Up-To-Date": "true", "Closed": "true"}
    at_tail = read(harness, job_id, kind, f"offset={offset_of(whole)}")
    assert (at_tail.status_code, facts(at_tail), len(at_tail.data)) == (200, facts(whole), 2 if kind == "events" else 0)
    assert offset_of(queued) < offset_of(first) < offset_of(whole)


def test_the_text_is_that_of_the_tokens(harness: HttpHarness) -> None:
    """Whatever the tokens are."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, *SAID)
    assert read(harness, job_id, "text").data.decode() == "".join(SAID)


@pytest.mark.parametrize("kind", BOTH)
def test_a_read_that_does_not_wait_has_everything(harness: HttpHarness, kind: str) -> None:
    """However much that is, for a client that does not read live may ask only once. Live reads come in parts."""
    job_id = harness.submitted()
    tokens = [f"{n} " for n in range(2500)]
    harness.worker.answer(job_id, *tokens)
    whole, part = read(harness, job_id, kind), read(harness, job_id, kind, "offset=-1&live=long-poll")
    assert facts(whole).keys() == {"Next-Offset", "Up-To-Date", "Closed"}
    assert facts(part).keys() == {"Next-Offset", "Cursor"}
    rest = read(harness, job_id, kind, f"offset={offset_of(part)}")
    if kind == "text":
        assert part.text + rest.text == whole.text == "".join(tokens)
    else:
        assert part.get_json() + rest.get_json() == whole.get_json()
        assert [each for each in whole.get_json() if isinstance(each, str)] == tokens


@pytest.mark.parametrize("kind", BOTH)
def test_head_has_the_tail(harness: HttpHarness, kind: str) -> None:
    """Without a body; it is the offset that `now` begins at, which gives nothing that was there before."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "a", "b")
    path = f"/v1/jobs/{job_id}/durable/{kind}"
    for is_closed in (False, True):
        if is_closed:
            harness.worker.say(writer, COMPLETED)
        head, now = harness.client.head(path), read(harness, job_id, kind, "offset=now")
        assert (head.status_code, head.data, now.status_code) == (200, b"", 200)
        assert now.text == ("[]" if kind == "events" else "")
        assert facts(head) == facts(now) == facts(read(harness, job_id, kind))
        assert ("Closed" in facts(head)) == is_closed
        assert head.headers["Cache-Control"] == "no-store"
        assert "ETag" not in now.headers


@pytest.mark.parametrize("kind", BOTH)
def test_an_etag_changes_with_the_end(harness: HttpHarness, kind: str) -> None:
    """The response that a client has is confirmed until there is another one."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "a")
    had = read(harness, job_id, kind)
    assert had.headers["Cache-Control"] == "private, no-cache"
    again = read(harness, job_id, kind, If_None_Match=had.headers["ETag"])
    assert (again.status_code, again.data, facts(again)) == (304, b"", facts(had))
    harness.worker.say(writer, COMPLETED)
    closed = read(harness, job_id, kind, If_None_Match=had.headers["ETag"])
    assert closed.status_code == 200
    assert closed.headers["ETag"] != had.headers["ETag"]


@pytest.mark.parametrize("kind", BOTH)
def test_an_offset_of_a_lost_answer_is_gone(harness: HttpHarness, kind: str) -> None:
    """The reader begins again at -1, and never gets the text of two generations."""
    job_id = harness.submitted()
    queued = offset_of(read(harness, job_id, kind))
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "old")
    lost = offset_of(read(harness, job_id, kind))
    assert read(harness, job_id, kind, f"offset={queued}").status_code == 200, "before the first answer nothing is lost"
    writer.start("second", "demo", "demo")
    harness.worker.say(writer, "new")
    for query in (f"offset={lost}", f"offset={lost}&live=long-poll", f"offset={lost}&live=sse"):
        assert "-1" in assert_problem(read(harness, job_id, kind, query), 410)["detail"]
    assert "old" not in read(harness, job_id, kind, "offset=-1").text
    assert lost < offset_of(read(harness, job_id, kind))


@pytest.mark.parametrize("end", [FAILED, CANCELLED], ids=["failed", "cancelled"])
def test_a_text_that_is_not_whole_never_closes(harness: HttpHarness, end: object) -> None:
    """Readers get all of it, then an error in the place of an end. The log closes, for its end says how it went."""
    job_id = harness.submitted()
    harness.worker.say(harness.worker.take(job_id), "half", end)  # type: ignore[arg-type]
    first = read(harness, job_id, "text")
    assert (first.status_code, first.text) == (200, "half")
    assert facts(first).keys() == {"Next-Offset"}, "a reader that stops when it is up to date must not stop here"
    for query in ("", "&live=long-poll", "&live=sse"):
        told = assert_problem(read(harness, job_id, "text", f"offset={offset_of(first)}{query}"), 409)
        assert told["job_status"] in told["detail"]
        assert (told["error"] is None) == (end is CANCELLED)
    events = read(harness, job_id, "events")
    assert facts(events)["Closed"] == "true"
    assert events.get_json()[-1]["status"] == told["job_status"]


@pytest.mark.parametrize("kind", BOTH)
def test_a_long_poll_waits_for_news(harness: HttpHarness, kind: str) -> None:
    """Each response has a cursor above the one that was sent, so that no cache gives out the same one twice."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "a")
    there = read(harness, job_id, kind, "offset=-1&live=long-poll")
    assert there.status_code == 200
    with ThreadPoolExecutor(1) as threads:
        query = f"offset={offset_of(there)}&live=long-poll&cursor={facts(there)['Cursor']}"
        waiting = threads.submit(read, harness, job_id, kind, query)
        eventually(lambda: harness.waits() == 1, what="the poll waits")
        harness.worker.say(writer, "b")
        news = waiting.result(20)
    assert (news.status_code, news.text) == (200, '["b"]' if kind == "events" else "b")
    assert int(facts(news)["Cursor"]) > int(facts(there)["Cursor"])


@pytest.mark.parametrize("kind", BOTH)
def test_a_long_poll_without_news_is_empty(make_harness: MakeHarness, kind: str) -> None:
    """With the position, after the wait."""
    harness = make_harness(TOKENTAIL_MAX_WAIT_S="1")
    job_id = harness.submitted()
    answer = read(harness, job_id, kind, "offset=now&live=long-poll")
    assert (answer.status_code, answer.data) == (204, b"")
    assert facts(answer).keys() == {"Next-Offset", "Up-To-Date", "Cursor"}


@pytest.mark.parametrize("kind", BOTH)
def test_a_long_poll_at_the_end_does_not_wait_for_more(harness: HttpHarness, kind: str) -> None:
    """The first one is answered at once. A client that asks on with what it was given is slowed down."""
    job_id = harness.submitted()
    harness.worker.answer(job_id, "a")
    at_end = f"offset={offset_of(read(harness, job_id, kind))}&live=long-poll"
    first = read(harness, job_id, kind, f"{at_end}&cursor=7")
    assert (first.status_code, facts(first)["Closed"], facts(first)["Up-To-Date"]) == (204, "true", "true")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(read, harness, job_id, kind, f"{at_end}&cursor={facts(first)['Cursor']}")
        eventually(lambda: harness.waits() == 1, what="the repeated poll is held")
        assert facts(waiting.result(20)) == facts(first)


@pytest.mark.parametrize("kind", BOTH)
def test_a_lost_answer_ends_a_long_poll(harness: HttpHarness, kind: str) -> None:
    """A poll that waits is answered as one that begins there is."""
    job_id = harness.submitted()
    writer = harness.worker.take(job_id)
    harness.worker.say(writer, "old")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(read, harness, job_id, kind, "offset=now&live=long-poll")
        eventually(lambda: harness.waits() == 1, what="the poll waits")
        writer.start("second", "demo", "demo")
        harness.worker.say(writer, "new")
        assert_problem(waiting.result(20), 410)


BAD_QUERIES = (
    *("offset=", "offset=0", "offset=+1", "offset=1,2", "offset=0000000000000001", "offset=1_a", "offset=-1&offset=-1"),
    *("offset=0000000000000001_A", "offset=0000000000000001_a%0A", "offset=../x", "offset=-1&live=", "live=sse"),
    *("offset=-1&live=poll", "live=long-poll", "&".join(["a=1"] * 101)),
)


def test_what_the_protocol_does_not_have_is_refused(harness: HttpHarness) -> None:
    """With 400, and a detail that says what to send."""
    job_id = harness.submitted()
    for query in BAD_QUERIES:
        assert_problem(read(harness, job_id, "events", query), 400)
        assert_problem(read(harness, job_id, "text", query), 400)


def test_other_parameters_are_ignored_and_other_methods_refused(harness: HttpHarness) -> None:
    """Clients of the protocol add parameters of their own. Writing is not for them."""
    job_id = harness.submitted()
    path = f"/v1/jobs/{job_id}/durable/text"
    assert harness.get(f"{path}?offset=-1&foo=bar").status_code == 200
    for method in ("PUT", "POST", "PATCH", "DELETE"):
        refused = harness.client.open(path, method=method)
        assert (refused.status_code, set(refused.headers["Allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
    assert harness.get("/v1/jobs/x/durable/text").status_code == 404
    harness.delete(job_id)
    assert_problem(harness.get(path), 410)


def test_read_tokens_open_both_and_other_keys_neither(make_harness: MakeHarness) -> None:
    """A share link's token is enough; pages of allowed origins may read the headers of the protocol."""
    harness = make_harness(TOKENTAIL_API_KEYS="one,two", TOKENTAIL_CORS_ORIGINS="https://app.example")
    one = {"Authorization": "Bearer one"}
    job_id = json_of(harness.post("/v1/jobs", json={"prompt": "why"}, headers=one))["id"]
    token = json_of(harness.post(f"/v1/jobs/{job_id}/share", headers=one))["token"]
    for kind in BOTH:
        assert read(harness, job_id, kind).status_code == 401
        assert read(harness, job_id, kind, Authorization="Bearer two").status_code == 404
        opened = read(harness, job_id, kind, f"token={token}", Origin="https://app.example")
        assert opened.status_code == 200
        exposed = opened.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"ETag", "Stream-Next-Offset", "Stream-Cursor", "Stream-Up-To-Date", "Stream-Closed"} <= set(exposed)
        assert opened.headers["Cross-Origin-Resource-Policy"] == "same-origin"
