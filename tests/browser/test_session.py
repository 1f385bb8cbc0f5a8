"""A browser's session in place of a key, and a link with which others may read one job."""

from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.conftest import KEY, PAGE, SCRIPT
from tests.browser.harness import BrowserHarness
from tests.browser.seen import framed_text, polled_text, ready_state, soon, streamed_text
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.redis.backend import Backend

CLOSED = 2
AUTHORIZED = {"headers": {"Authorization": f"Bearer {KEY}"}}
SUBMISSION = {"headers": {"Content-Type": "application/json"}, "body": '{"prompt": "why"}'}


def opened(context: BrowserContext, harness: BrowserHarness) -> Page:
    page = context.new_page()
    page.goto(harness.url + PAGE)
    return page


def status(page: Page, method: str, path: str, options: object = None) -> int:
    """The status of the response to a fetch by the page."""
    code: int = page.evaluate("([method, path, options]) => send(method, path, options)", [method, path, options or {}])
    return code


def submitted(page: Page) -> str:
    """The id of a job that the page submitted."""
    job_id: str = page.evaluate(
        "async options => (await (await fetch('/v1/jobs', { method: 'POST', ...options })).json()).id", SUBMISSION
    )
    return job_id


def test_a_session_stands_for_its_key(
    keyed_harness: BrowserHarness, context: BrowserContext, worker: ScriptedWorker
) -> None:
    """After one fetch with the key, submitting, polls, EventSource and WebSocket work without the key."""
    page = opened(context, keyed_harness)
    assert status(page, "POST", "/v1/jobs", SUBMISSION) == 401
    assert status(page, "POST", "/v1/session", AUTHORIZED) == 204
    job_id = submitted(page)
    page.evaluate("follow", f"/v1/jobs/{job_id}/stream")
    page.evaluate("openSocket", f"/v1/jobs/{job_id}/ws")
    page.evaluate("job => { followByPolls(job) }", f"/v1/jobs/{job_id}")
    worker.say(worker.take(job_id), "one", " two", COMPLETED)
    for text in (streamed_text, framed_text, polled_text):
        soon(lambda: text(page) == "one two", what="the page sees it")  # noqa: B023 - asked at once
    page.evaluate("source.close()")
    page.reload()
    page.evaluate("follow", f"/v1/jobs/{job_id}/stream")
    soon(lambda: streamed_text(page) == "one two", what="it outlives a reload")


def test_script_cannot_read_the_cookie(
    keyed_harness: BrowserHarness, context: BrowserContext, worker: ScriptedWorker
) -> None:
    """Scripts cannot read the session's cookie, and the browser sends it to no other site."""
    page = opened(context, keyed_harness)
    assert status(page, "POST", "/v1/session", AUTHORIZED) == 204
    assert page.evaluate("document.cookie") == ""
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert KEY not in cookie["value"]


def test_a_session_that_was_ended_is_over(
    keyed_harness: BrowserHarness, context: BrowserContext, worker: ScriptedWorker
) -> None:
    """After the end of a session the browser has no cookie, and an EventSource is refused and gives up."""
    page = opened(context, keyed_harness)
    assert status(page, "POST", "/v1/session", AUTHORIZED) == 204
    job_id = submitted(page)
    assert status(page, "DELETE", "/v1/session") == 204
    assert status(page, "GET", f"/v1/jobs/{job_id}/tokens") == 401
    page.evaluate("follow", f"/v1/jobs/{job_id}/stream")
    soon(lambda: ready_state(page) == CLOSED, what="it gives up")
    page.evaluate("openSocket", f"/v1/jobs/{job_id}/ws")
    soon(lambda: page.evaluate("seen.closed"), what="it is refused")
    assert page.evaluate("seen.frames") == []


def test_a_share_link_reads_one_job(
    keyed_harness: BrowserHarness, browser: Browser, context: BrowserContext, worker: ScriptedWorker, own: Backend
) -> None:
    """With a share link another browser reads that job by EventSource and WebSocket, and can do no more."""
    page = opened(context, keyed_harness)
    assert status(page, "POST", "/v1/session", AUTHORIZED) == 204
    shared, other = submitted(page), submitted(page)
    token = page.evaluate(
        "async job => (await (await fetch(`${job}/share`, { method: 'POST' })).json()).token", f"/v1/jobs/{shared}"
    )
    guest = browser.new_context()
    try:
        guest.add_init_script(path=SCRIPT)
        guest_page = opened(guest, keyed_harness)
        guest_page.evaluate("follow", f"/v1/jobs/{shared}/stream?token={token}")
        guest_page.evaluate("openSocket", f"/v1/jobs/{shared}/ws?token={token}")
        worker.say(worker.take(shared), "for all", COMPLETED)
        for text in (streamed_text, framed_text):
            soon(lambda: text(guest_page) == "for all", what="the guest sees it")  # noqa: B023 - asked at once
        assert status(guest_page, "GET", f"/v1/jobs/{other}/tokens?token={token}") == 403
        assert status(guest_page, "POST", f"/v1/jobs/{shared}/cancel?token={token}") == 403
        assert status(guest_page, "GET", f"/v1/jobs/{shared}/tokens") == 401
    finally:
        guest.close()
