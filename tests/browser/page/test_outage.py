"""The server away: a question that was asked meanwhile is kept, and sent when the server is back."""

import signal

from playwright.sync_api import expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.sight import Sight
from tests.scripted_worker import ScriptedWorker

KEPT = "The server does not answer. “Kept?” is kept, and sent as soon as it does."
UNREACHED = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "status of 503", "WebSocket")


def forgive(complaints: list[str]) -> None:
    """What Chromium itself writes of requests to a server that is away."""
    complaints[:] = [text for text in complaints if not any(word in text for word in UNREACHED)]


def test_a_question_asked_meanwhile_is_kept_and_sent(
    sight: Sight, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """The page says so within 2 seconds; what is written meanwhile stays; all attempts make one job."""
    page = sight.page
    harness.end(signal.SIGTERM)
    page.locator("#prompt").fill("Kept?")
    page.keyboard.press("Enter")
    expect(page.locator("#kept-words")).to_have_text(KEPT, timeout=2000)
    expect(page.locator("#prompt")).to_have_value("")
    page.locator("#prompt").fill("Meanwhile")
    harness.begin()
    page.wait_for_url(lambda url: "job=" in url, timeout=20_000)
    expect(page.locator("#kept")).to_be_hidden()
    expect(page.locator("#asked")).to_have_text("Kept?")
    expect(page.locator("#prompt")).to_have_value("Meanwhile")
    worker.answer(sight.job_id, "**Here.**")
    expect(page.locator("#answer strong")).to_have_text("Here.", timeout=10_000)
    expect(page.locator("#job-list a")).to_have_count(1)
    forgive(complaints)


def test_a_kept_question_survives_a_reload(
    sight: Sight, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """The tab remembers it, and makes one job of it."""
    page = sight.page
    page.route("**/v1/jobs", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.locator("#prompt").fill("Kept?")
    page.keyboard.press("Enter")
    expect(page.locator("#kept-words")).to_have_text(KEPT)
    page.unroute("**/v1/jobs")
    page.reload()
    page.wait_for_url(lambda url: "job=" in url)
    expect(page.locator("#asked")).to_have_text("Kept?")
    worker.answer(sight.job_id, "Here.")
    sight.sees("Here.")
    page.goto(harness.url)
    expect(page.locator("#job-list a")).to_have_count(1)
    complaints[:] = [text for text in complaints if "ERR_FAILED" not in text]


def test_a_kept_question_can_be_discarded(sight: Sight, complaints: list[str]) -> None:
    """The prompt comes back, and nothing is sent any more."""
    page = sight.page
    page.route("**/v1/jobs", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.locator("#prompt").fill("Kept?")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#kept")).to_be_hidden()
    expect(page.locator("#prompt")).to_have_value("Kept?")
    page.unroute("**/v1/jobs")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.wait_for_timeout(2500)
    assert sent == []
    complaints[:] = [text for text in complaints if "ERR_FAILED" not in text]
