"""tokentail.js in Chromium: its pauses between requests are as long as the server asks, and no longer."""

from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.client.test_client_proxies import finish
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually

LATE_MS = 1500  # what a busy machine may add to a pause
ASKED = """performance.getEntriesByType("resource").filter(({ name }) => /\\/(tokens|stream)\\?/.test(name))
  .map(({ startTime, responseEnd }) => [startTime, responseEnd])"""


def pauses_ms(page: Page) -> list[float]:
    """The pauses between the end of each response and the next request."""
    asked: list[list[float]] = page.evaluate(ASKED)
    return [then[0] - before[1] for before, then in pairwise(asked)]


@pytest.mark.parametrize("transport", ["auto", "long", "short"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(
    status: int,
    transport: str,
    proxy: ProxyProcess,
    straight_harness: BrowserHarness,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """Each transport waits for Retry-After; its own pause after a first failure would be half a second at most."""
    proxy.be(fails=1, failure=status, retry_after_s=2)
    reader.connect()
    speech.say("There.")
    reader.read(speech.job_id, transport=transport)
    speech.heard()
    finish(speech, worker, reader, straight_harness)
    assert 2000 <= pauses_ms(reader.page)[0] <= 2000 * 1.2 + LATE_MS
    assert reader.seen("moves") == []


def test_a_submission_waits_for_retry_after(proxy: ProxyProcess, reader: Reader, worker: ScriptedWorker) -> None:
    """A call that is refused with 429 is repeated after its Retry-After."""
    answers = [429]

    def answer(route: Route) -> None:
        if not answers:
            return route.continue_()
        return route.fulfill(status=answers.pop(), headers={"Retry-After": "2"}, body="")

    reader.page.route("**/v1/jobs", answer)
    reader.connect()
    took_ms = reader.page.evaluate(
        """async () => {
          const began = performance.now();
          await tokentail.submit({ prompt: "again" });
          return performance.now() - began;
        }"""
    )
    assert not answers
    assert 2000 <= took_ms <= 2000 * 1.2 + LATE_MS


@pytest.mark.parametrize("advised_ms", [900, 2500])
def test_a_short_poll_comes_when_it_was_advised_to(reader: Reader, advised_ms: int) -> None:
    """The pause before each poll is `poll_after_ms` of the response before it."""
    body: dict[str, Any] = {"job_id": "j", "status": "running", "tokens": [], "reset": False, "done": False}

    def answer(route: Route) -> None:
        route.fulfill(json={**body, "cursor": "c.1", "poll_after_ms": advised_ms})

    reader.page.route("**/v1/jobs/j/tokens?*", answer)
    reader.connect()
    reader.read("j", transport="short")
    eventually(lambda: len(pauses_ms(reader.page)) >= 3, within_s=20, what="it has asked four times")
    assert all(advised_ms <= pause <= advised_ms * 1.1 + LATE_MS for pause in pauses_ms(reader.page))


@pytest.mark.timeout(180)
def test_a_proxy_that_cuts_every_five_seconds_loses_nothing(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """With the default times the client polls after three cuts, and its polls end before the proxy would cut them."""
    proxy.be(cut_after_ms=5000)
    reader.connect_as_it_is()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20, most=3000)
    assert reader.seen("moves") == [["long", "cut too often"]]
    quiet = len(reader.seen("steps"))
    eventually(lambda: len(reader.seen("steps")) > quiet, within_s=45, what="a poll came back though nobody spoke")
    speech.until(lambda: True, least=5)
    finish(speech, worker, reader, straight_harness)
    assert reader.seen("moves") == [["long", "cut too often"]]
