"""Six widths from 360 to 1920 pixels, with every figure at its longest: nothing leaves the window, nothing is cut."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker

WIDTHS = (360, 768, 1024, 1280, 1440, 1920)

# The page's own views, with the largest figures that a job can have.
AT_THEIR_LONGEST = """async () => {
  const { FactsView } = await import("/page/facts.js");
  const { CostsView } = await import("/page/costs_view.js");
  const { Costs } = await import("/page/costs.js");
  const many = 88888888;
  const usage = { input_tokens: many, output_tokens: many, reasoning_tokens: many, cached_tokens: many };
  const view = {
    status: "queued", queue_position: 888888, time_to_first_token_ms: 88888, attempts: 888,
    model: "provider/a-model-with-a-name-of-many-words-2026-08-08:free", expires_at: "2030-01-01T00:00:00Z",
  };
  const answer = { tokenCount: 888888, usage, cursor: "k7f2wwwwwwwwwwww.888888" };
  new FactsView(document.getElementById("facts"), document.getElementById("facts-line")).show(answer, view, 8888);
  const costs = new Costs();
  for (const [transport, cost] of Object.entries(costs.of)) {
    costs.traffic({ transport, requests: 88888, bytes: 888.8e6 });
    cost.brought(2, 0);
    cost.brought(88, 888_888);
  }
  document.getElementById("costs-rows").replaceChildren();
  new CostsView(costs, document.getElementById("costs-rows"), document.getElementById("costs-line")).draw();
}"""

OUTSIDE = """() => [...document.querySelectorAll("main *, header *")].filter((element) => {
  const box = element.getBoundingClientRect();
  if (!box.width || element.closest(".unseen, pre, .scrolled")) return false;
  return box.right > document.documentElement.clientWidth + 0.5 || box.left < -0.5;
}).map((element) => element.outerHTML.slice(0, 120))"""
CUT = """() => [...document.querySelectorAll(".side :is(th, td, dt, dd, button, h2)")]
  .filter((cell) => cell.offsetWidth && cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent)"""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_longest_figures_fit(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker, width: int
) -> None:
    """The columns stay in the window, and each figure can be read."""
    page = new_context(viewport={"width": width, "height": 900}).new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    assert page.evaluate(OUTSIDE) == []
    sight = Sight(page)
    worker.say(worker.take(sight.ask("w" * 300)), *["A word. "] * 30, COMPLETED)
    sight.is_told("Complete")
    expect(sight.fact("expiry")).to_have_text("in 24 h")  # the last of the figures that come by themselves
    for fold in ("costs", "facts-card"):
        page.locator(f"#{fold}").evaluate("fold => fold.open = true")
    page.evaluate(AT_THEIR_LONGEST)
    expect(page.locator("#fact-usage")).to_contain_text("88,888,888 cached")
    expect(page.locator("#costs-rows td").first).to_have_text("88,888")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []


def test_nothing_moves_when_a_scrollbar_appears(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """The head of the page spans the window, without a strip beside it, whether or not the page can be scrolled."""
    page = new_context(viewport={"width": 1280, "height": 700}).new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    writer = worker.take(sight.ask())
    worker.say(writer, "One")
    sight.sees("One")
    before = _edges(page)
    assert before[0] == 1280
    worker.say(writer, *["\n\nMore."] * 60, COMPLETED)
    sight.is_told("Complete")
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight")
    assert _edges(page) == before
    assert page.evaluate("getComputedStyle(document.documentElement).scrollbarGutter") == "auto"


def _edges(page: Page) -> list[float]:
    boxes = [page.locator(name).bounding_box() for name in (".top", ".thread", ".side")]
    return [box["x"] + box["width"] for box in boxes if box]
