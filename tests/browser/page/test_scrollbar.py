"""Scrollbars that take room, as on Windows and most of Linux: the browsers of the other tests hide theirs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.sight import Sight
from tests.programs import CHROMIUM
from tests.scripted_worker import COMPLETED, ScriptedWorker

EDGES = """() => [".top", ".thread", ".side"].map((name) => {
  const box = document.querySelector(name).getBoundingClientRect(); return [box.left, box.right]; })"""
TAKEN = "innerWidth - document.documentElement.clientWidth"
# Controls and figures that the scrollbar would cover.
COVERED = """() => [...document.querySelectorAll(
  "header :is(a, button), .thread button, .side :is(td, th, dd, button)")]
  .filter((it) => it.getBoundingClientRect().right > document.documentElement.clientWidth)
  .map((it) => it.outerHTML.slice(0, 120))"""


@pytest.fixture
def barred(browser: Browser, harness: BrowserHarness, worker: ScriptedWorker) -> Iterator[Page]:
    """The page in a Chromium that shows its scrollbars."""
    own = browser.browser_type.launch(
        executable_path=CHROMIUM.require(),
        args=["--no-sandbox", "--disable-dev-shm-usage"],
        ignore_default_args=["--hide-scrollbars"],
    )
    page = own.new_page(viewport={"width": 1280, "height": 700})
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo", timeout=10_000)
    yield page
    own.close()


def test_a_scrollbar_moves_nothing_and_leaves_no_strip(barred: Page, worker: ScriptedWorker) -> None:
    """The head of the page spans the window with a scrollbar and without; the bar covers no control and no figure."""
    sight = Sight(barred)
    writer = worker.take(sight.ask())
    worker.say(writer, "One")
    sight.sees("One")
    assert barred.evaluate(TAKEN) == 0
    before = barred.evaluate(EDGES)
    assert before[0] == [0, 1280]
    worker.say(writer, *["\n\nMore."] * 60, COMPLETED)
    sight.is_told("Complete")
    assert barred.evaluate(TAKEN) > 0
    assert barred.evaluate(EDGES) == before
    for width in (1280, 1440, 1024, 768, 360):
        barred.set_viewport_size({"width": width, "height": 700})
        assert barred.evaluate(TAKEN) > 0
        assert barred.evaluate(COVERED) == []
        barred.mouse.move(width / 2, 300)
        barred.mouse.wheel(200, 0)
        barred.wait_for_timeout(150)
        assert barred.evaluate("scrollX") == 0
