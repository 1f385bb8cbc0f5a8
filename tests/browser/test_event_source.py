"""A browser's own EventSource, which follows the WHATWG's rules."""

import json
import signal

from playwright.sync_api import Page, Request

from tests.browser.harness import BrowserHarness
from tests.browser.seen import events, raw_text, ready_state, soon, streamed_text
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.jobs.job import Job
from tokentail.redis.backend import Backend

CLOSED = 2

HOSTILE = [
    *(
        "\r",
        "\n",
        "\r\n",
        "a\rb\nc\r\nd",
        "\n\n",
        "data: no\n\nevent: error\ndata: {}\n\n",
        "\nid: 0:9.9\n",
        ": comment",
    ),
    *(
        "[DONE]",
        "data: [DONE]",
        " leading",
        "trailing ",
        "\ttab",
        "<script>alert(1)</script>",
        '"quoted\\"',
        "\ufeffmark",
    ),
    *("\u2028\u2029", "\x85\x0b\x0c", "\x00", "e\u0301 ü € 😀 👩‍👩‍👧", "retry: 1\n"),
]


def requests_of(page: Page, path: str) -> list[Request]:
    """A list that collects the page's requests of this path."""
    made: list[Request] = []
    page.on("request", lambda request: made.append(request) if path in request.url else None)
    return made


def submitted_job(own: Backend) -> str:
    """The id of the only job. A job is listed a moment before a worker can claim it."""
    soon(
        lambda: any(isinstance(job, Job) for job in own.store.view_many(own.store.jobs_of("", None, 10))), what="a job"
    )
    (job_id,) = own.store.jobs_of("", None, 10)
    return job_id


def test_each_token_is_shown_before_the_next_is_written(page: Page, worker: ScriptedWorker) -> None:
    """A page receives tokens as they are made, and the id of each event is the cursor after it."""
    job_id = worker.submit()
    page.evaluate("follow", f"/v1/jobs/{job_id}/stream")
    writer = worker.take(job_id)
    text = ""
    for token in ("one", " two", " three"):
        worker.say(writer, token)
        text += token
        soon(lambda: streamed_text(page) == text, what="the page sees it")  # noqa: B023 - asked at once
    last = events(page)[-1]
    assert json.loads(last["data"])["cursor"] == last["id"]


def test_it_goes_on_by_itself_where_it_was(harness: BrowserHarness, page: Page, worker: ScriptedWorker) -> None:
    """After a restart of the server the browser sends Last-Event-ID, and each token is received exactly once."""
    job_id = worker.submit()
    made = requests_of(page, "/stream")
    page.evaluate("follow", f"/v1/jobs/{job_id}/stream")
    writer = worker.take(job_id)
    worker.say(writer, "before")
    soon(lambda: streamed_text(page) == "before", what="the page sees it")
    last_id = events(page)[-1]["id"]
    harness.end(signal.SIGTERM)
    worker.say(writer, " meanwhile")
    soon(lambda: page.evaluate("seen.failures.length") >= 2, what="the browser reconnects in vain")
    harness.begin()
    soon(lambda: streamed_text(page) == "before meanwhile", what="it goes on")
    assert made[-1].all_headers()["last-event-id"] == last_id
    worker.say(writer, " after", COMPLETED)
    soon(lambda: ready_state(page) == CLOSED, what="the browser stops to reconnect")
    assert streamed_text(page) == "before meanwhile after"
    response = made[-1].response()
    assert response is not None
    assert response.status == 204


def test_text_that_looks_like_the_protocol_is_text(page: Page, worker: ScriptedWorker) -> None:
    """Every character of a model's text arrives unchanged."""
    job_id = worker.submit()
    page.evaluate("follow", f"/v1/jobs/{job_id}/stream")
    writer = worker.take(job_id)
    for token in HOSTILE:
        worker.say(writer, token)
    worker.say(writer, COMPLETED)
    soon(lambda: ready_state(page) == CLOSED, what="it has ended")
    assert streamed_text(page) == "".join(HOSTILE)
    assert page.evaluate("seen.told") == []


def test_the_stream_that_submits_shows_text_as_it_was_said(page: Page, worker: ScriptedWorker, own: Backend) -> None:
    """`/stream` keeps text unchanged, except that line ends become line feeds, the only ones of events."""
    page.evaluate("follow", "/stream?query=why&model=demo&max_tokens=9")
    job_id = submitted_job(own)
    writer = worker.take(job_id)
    worker.say(writer, "one")
    soon(lambda: raw_text(page) == "one", what="the page sees it")
    for token in HOSTILE:
        worker.say(writer, token)
    worker.say(writer, COMPLETED)
    soon(lambda: ready_state(page) == CLOSED, what="it has ended")
    expected = ["one", *(token.replace("\r\n", "\n").replace("\r", "\n") for token in HOSTILE)]
    assert raw_text(page) == "".join(expected)
    assert [event["data"] for event in events(page)].count("[DONE]") == 1
    assert events(page)[-1]["data"] == "[DONE]"
    assert page.evaluate("seen.told") == []
    assert own.store.jobs_of("", None, 10) == [job_id]


def test_the_stream_that_submits_goes_on_with_its_job(
    harness: BrowserHarness, page: Page, worker: ScriptedWorker, own: Backend
) -> None:
    """A reconnect continues the same job and never starts another."""
    made = requests_of(page, "/stream")
    page.evaluate("follow", "/stream?query=why")
    job_id = submitted_job(own)
    writer = worker.take(job_id)
    worker.say(writer, "before")
    soon(lambda: raw_text(page) == "before", what="the page sees it")
    harness.end(signal.SIGKILL)
    worker.say(writer, " after", COMPLETED)
    harness.begin()
    soon(lambda: ready_state(page) == CLOSED, what="it has ended")
    assert raw_text(page) == "before after"
    assert made[-1].all_headers()["last-event-id"].startswith(f"{job_id}:")
    assert own.store.jobs_of("", None, 10) == [job_id]
