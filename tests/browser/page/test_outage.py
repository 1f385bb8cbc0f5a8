"""The server or its Redis away: the page says so, and a question that was asked meanwhile is kept, and sent later."""

import signal
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire

KEPT = "The server does not answer. “Kept?” is kept, and sent as soon as it does."
UNREACHED = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "status of 503", "WebSocket")

AWAY_WORDS = """async (detail) => (await import("/page/failure.js")).awayWords({ detail })"""


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


def test_the_reason_of_an_outage_is_a_whole_sentence(sight: Sight) -> None:
    """The dots of an address do not end it."""
    sentence = (
        "HTTP 200 after a redirect to http://192.0.2.1:80 from something on the way, not from a Tokentail server."
    )
    for detail in (sentence, f"{sentence} More.", f"{sentence}\nMore."):
        assert sight.page.evaluate(AWAY_WORDS, detail) == sentence
    assert sight.page.evaluate(AWAY_WORDS, "") == "The server does not answer."


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Redis of the test's own, which can be away while the web process stays."""
    with ValkeyServer(is_durable=True) as valkey:
        yield valkey


@pytest.fixture
def lonely(valkey: ValkeyServer) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey.url, with_nginx=False) as harness:
        yield harness


@pytest.fixture
def its_worker(valkey: ValkeyServer, lonely: BrowserHarness) -> Iterator[ScriptedWorker]:
    client = valkey.connect()
    worker = ScriptedWorker(wire(client, client, load_settings({})))
    worker.beat()
    eventually(lambda: "demo" in requests.get(f"{lonely.url}/v1/models", timeout=10).text, within_s=10)
    yield worker
    client.close()


AWAY = "Redis does not answer"


def _says_so(page: Page, where: str) -> None:
    expect(page.locator(where)).to_contain_text(AWAY, timeout=2000)


@pytest.mark.parametrize("away", ["hung", "refused"])
def test_with_redis_away_the_page_says_so_and_keeps_the_question(
    valkey: ValkeyServer,
    lonely: BrowserHarness,
    its_worker: ScriptedWorker,
    new_context: NewContext,
    complaints: list[str],
    away: str,
) -> None:
    """Within 2 seconds, in words, on each page that is opened; the answer under way goes on, the question is sent."""
    context = new_context()
    page = context.new_page()
    page.goto(lonely.url)
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    first = sight.ask("First?")
    writer = its_worker.take(first)
    its_worker.say(writer, "One")
    sight.sees("One")
    (valkey.pause if away == "hung" else valkey.kill)()
    # What was read a second ago may still be answered.
    eventually(lambda: requests.get(f"{lonely.url}/v1/models", timeout=10).status_code == 503, within_s=10)
    page.locator("#prompt").fill("Kept?")
    page.keyboard.press("Enter")
    expect(page.locator("#kept")).to_contain_text("does not answer", timeout=2000)
    # Until the server has said why, the page itself knows only that no answer came.
    expect(page.locator("#kept-words")).to_have_text(f"{AWAY}. “Kept?” is kept, and sent as soon as it can be.")
    for path, where in (("/", "#submit-problem"), ("/operator", "#state-text"), (f"/?job={first}", "#submit-problem")):
        other = context.new_page()
        other.goto(lonely.url + path, wait_until="commit")
        other.locator("#submit-problem, #last-rows").first.wait_for(state="attached")
        _says_so(other, where)
    reading = other  # the last of them: the job's own address
    (valkey.resume if away == "hung" else valkey.start)()
    its_worker.beat()
    page.wait_for_url(lambda url: "job=" in url and first not in url, timeout=20_000)
    expect(page.locator("#kept")).to_be_hidden()
    its_worker.answer(sight.job_id, "Here.")
    sight.sees("Here.")
    its_worker.say(writer, " two", COMPLETED)
    Sight(reading).sees("One two")
    Sight(reading).is_told("Complete")
    forgive(complaints)
