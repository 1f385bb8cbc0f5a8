"""A browser's fetch and WebSocket."""

from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.conftest import KEY, PAGE
from tests.browser.harness import BrowserHarness
from tests.browser.seen import framed_text, polled_text, soon
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.redis.backend import Backend
from tokentail.redis.client import RedisClient


def test_polls_by_fetch_read_each_token_as_it_comes(page: Page, worker: ScriptedWorker) -> None:
    """A page reads a job by the plain loop of short polls."""
    job_id = worker.submit()
    page.evaluate("job => { followByPolls(job) }", f"/v1/jobs/{job_id}")
    writer = worker.take(job_id)
    text = ""
    for token in ("one", " two\r\n", " [DONE]"):
        worker.say(writer, token)
        text += token
        soon(lambda: polled_text(page) == text, what="the page sees it")  # noqa: B023 - asked at once
    worker.say(writer, COMPLETED)
    soon(lambda: page.evaluate("seen.answers.at(-1).done"), what="it has ended")
    assert polled_text(page) == text


def test_a_page_submits_and_cancels(page: Page, worker: ScriptedWorker, own: Backend) -> None:
    """A page of our own may cancel by fetch."""
    json_body = {"headers": {"Content-Type": "application/json"}, "body": '{"prompt": "why"}'}
    assert page.evaluate("options => send('POST', '/v1/jobs', options)", json_body) == 202
    (job_id,) = own.store.jobs_of("", None, 10)
    assert page.evaluate("job => send('POST', `${job}/cancel`)", f"/v1/jobs/{job_id}") == 200
    assert page.evaluate("job => send('DELETE', job)", f"/v1/jobs/{job_id}") == 204


def test_a_websocket_shows_each_token_and_cancels(page: Page, worker: ScriptedWorker) -> None:
    """A WebSocket brings the tokens frame by frame, and after the end is closed with the code for it."""
    job_id = worker.submit()
    page.evaluate("openSocket", f"/v1/jobs/{job_id}/ws")
    writer = worker.take(job_id)
    text = ""
    for token in ("one", " two\r\n", " \u2028"):
        worker.say(writer, token)
        text += token
        soon(lambda: framed_text(page) == text, what="the page sees it")  # noqa: B023 - asked at once
    page.evaluate("""socket.send('{"type":"cancel"}')""")
    soon(lambda: page.evaluate("seen.closed"), what="it is closed")
    assert page.evaluate("seen.closed.code") == 1000
    last = page.evaluate("seen.frames.at(-1)")
    assert (last["done"], last["status"]) == (True, "cancelled")
    assert framed_text(page) == text


def test_over_tls_a_browser_follows_more_jobs_than_it_has_connections(
    browser: Browser, context: BrowserContext, valkey_url: str, real_client: RedisClient, worker: ScriptedWorker
) -> None:
    """By HTTP/2 through nginx ten streams run at once, with polls, WebSockets and a session's cookie beside them."""
    with BrowserHarness(valkey_url, with_nginx=True, with_tls=True, TOKENTAIL_API_KEYS=KEY) as harness:
        page = context.new_page()
        page.goto(harness.url + PAGE)
        authorized = {"headers": {"Authorization": f"Bearer {KEY}"}}
        assert page.evaluate("options => send('POST', '/v1/session', options)", authorized) == 204
        assert [cookie["secure"] for cookie in context.cookies()] == [True]
        json_body = {"headers": {"Content-Type": "application/json"}, "body": '{"prompt": "why"}'}
        made = page.evaluate(
            "async options => (await (await fetch('/v1/jobs', options)).json()).id", {"method": "POST", **json_body}
        )
        writer = worker.take(made)
        page.evaluate("job => { for (let i = 0; i < 10; i++) follow(`${job}/stream`) }", f"/v1/jobs/{made}")
        worker.say(writer, "one")
        soon(
            lambda: page.evaluate("""seen.events.filter(e => e.data.includes('"tokens":["one"]')).length""") == 10,
            what="all ten see it",
        )
        assert page.evaluate("job => send('GET', `${job}/tokens`)", f"/v1/jobs/{made}") == 200
        page.evaluate("openSocket", f"/v1/jobs/{made}/ws")
        worker.say(writer, COMPLETED)
        soon(lambda: page.evaluate("seen.closed"), what="the socket is closed")
        assert (page.evaluate("seen.closed.code"), framed_text(page)) == (1000, "one")
        protocols = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol)")
        assert set(protocols) == {"h2"}
