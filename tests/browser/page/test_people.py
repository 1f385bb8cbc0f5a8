"""Accessibility: keyboard, screen readers, small screens, both themes, and a layout that does not jump."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import DESKTOP, PHONE, NewContext
from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End, Reasoning, ToolCall

AXE = (Path(__file__).parent / "axe.min.js").read_text()
VIOLATIONS = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ").slice(0, 400)}`)"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
RICH = (
    "# Eggs\n\nThree *ways*, see [here](https://eggs.example):\n\n1. boiled\n2. fried\n\n> well done\n\n"
    "| way | minutes |\n|:--|--:|\n| boiled | 7 |\n\n```python\nboil(minutes=7)\n```\n\n![an egg](https://eggs.example/e.png)"
)


def violations(page: Page) -> Any:
    page.evaluate(AXE)
    return page.evaluate(VIOLATIONS)


@pytest.fixture(params=["desktop", "phone"])
def size(request: pytest.FixtureRequest) -> Any:
    return (
        {"viewport": DESKTOP}
        if request.param == "desktop"
        else {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    )


@pytest.fixture(params=["light", "dark"])
def sized(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker, size: Any, request: pytest.FixtureRequest
) -> Page:
    """The page at each size and in each theme."""
    page = new_context(color_scheme=request.param, **size).new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    return page


def test_axe_finds_nothing(sized: Page, harness: BrowserHarness, worker: ScriptedWorker) -> None:
    """axe finds nothing on the empty page, in mid-answer, at the end, with each dialog, and in the operator's view."""
    sight = Sight(sized)
    assert violations(sized) == []
    writer = worker.take(sight.ask("How do I cook an egg?"))
    worker.say(writer, Reasoning("Eggs, then."), RICH, ToolCall(0, "1", "cook", "{}"))
    expect(sight.answer).to_contain_text("boil(")
    sized.locator("#reasoning summary").click()
    assert violations(sized) == []
    sized.locator("#via summary").click()
    assert violations(sized) == []
    sized.keyboard.press("Escape")
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    assert violations(sized) == []
    sized.get_by_role("button", name="Share", exact=True).click()
    expect(sized.locator("#share-dialog")).to_be_visible()
    assert violations(sized) == []
    sized.keyboard.press("Escape")
    if (jobs := sized.locator("#jobs-open")).is_visible():
        jobs.click()
        expect(sized.locator("#job-list a")).to_have_count(1)
        assert violations(sized) == []
    else:
        sized.locator("#help-open").click()
        assert violations(sized) == []
    sized.goto(f"{harness.url}/operator")
    expect(sized.locator("#last-rows tr")).to_have_count(1)
    assert violations(sized) == []
    worker.backend.fleet.leave("scripted")
    expect(sized.locator("#workers-none")).to_be_visible()
    assert violations(sized) == []


def test_axe_finds_nothing_where_something_is_wrong(
    sized: Page, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """axe finds nothing after a failure, with the list of jobs and the help, and for an unknown job."""
    sight = Sight(sized)
    failure = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "The provider has too much to do."))
    worker.say(worker.take(sight.ask()), "Half", failure)
    sight.is_told("Failed")
    assert violations(sized) == []
    sized.locator("#help-open").click()
    assert violations(sized) == []
    sized.goto(f"{harness.url}/?job={'a' * 26}")
    sight.is_told("Not found")
    assert violations(sized) == []
    sized.goto(f"{harness.url}/nothing/here")
    expect(sized.get_by_role("heading")).to_have_text("There is nothing at this address")
    assert violations(sized) == []
    sized.get_by_role("link", name="Ask a model").click()
    expect(sized.locator("#intro")).to_be_visible()
    complaints[:] = [text for text in complaints if "404" not in text]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_keys_are_asked_for(
    new_context: NewContext,
    keyed_harness: BrowserHarness,
    worker: ScriptedWorker,
    size: Any,
    scheme: str,
    complaints: list[str],
) -> None:
    """axe finds nothing at the sign-in of both pages, after a wrong key, and on the page of a share link."""
    page = new_context(color_scheme=scheme, **size).new_page()
    page.goto(f"{keyed_harness.url}/operator")
    expect(page.locator("#sign-in")).to_be_visible()
    assert violations(page) == []
    page.goto(keyed_harness.url)
    expect(page.locator("#sign-in")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("API key").fill("a-wrong-one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#sign-in-problem")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    worker.answer(sight.ask("Why share?"), RICH)
    sight.is_told("Complete")
    assert page.evaluate(OVERFLOW) <= 0  # with all that is in the head of the page then
    page.locator("#help-open").click()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(1)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_label("Link")).to_have_value(re.compile("token="))
    link = page.get_by_label("Link").input_value()
    reader = new_context(color_scheme=scheme, **size).new_page()
    reader.goto(link)
    Sight(reader).is_told("Complete")
    assert violations(reader) == []
    assert reader.evaluate(OVERFLOW) <= 0
    complaints[:] = [text for text in complaints if "401" not in text]


def test_nothing_is_wider_than_the_screen(sized: Page, harness: BrowserHarness, worker: ScriptedWorker) -> None:
    """Even at 360 pixels the page is not wider than the screen: tables and code scroll by themselves."""
    sight = Sight(sized)
    wide = f"{RICH}\n\n{'wide' * 100}\n\n```\n{'code ' * 100}\n```\n\n|{'a very wide column|' * 20}\n|{'-|' * 20}\n"
    worker.answer(sight.ask("w" * 300), wide)
    sight.is_told("Complete")
    assert sized.evaluate(OVERFLOW) <= 0
    sized.goto(f"{harness.url}/operator")
    expect(sized.locator("#last-rows tr")).to_have_count(1)
    assert sized.evaluate(OVERFLOW) <= 0


SHIFTS = """() => { window.shifts = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts += entry.value;  // also those after input
}).observe({ type: "layout-shift", buffered: true }); }"""


def test_nothing_jumps(sized: Page, worker: ScriptedWorker) -> None:
    """No element moves while a job is queued, gets tokens, changes its transport and ends."""
    sight = Sight(sized)
    job_id = sight.ask()
    sight.is_told("In the queue, waiting for a free slot")
    sized.wait_for_timeout(300)
    sized.evaluate(SHIFTS)
    sized.wait_for_timeout(100)  # those until now are announced at once
    before = sized.evaluate("window.shifts")
    writer = worker.take(job_id)
    worker.say(writer, "Begin. ")
    sight.sees("Begin.")
    for n in range(12):
        worker.say(writer, f"## Part {n}\n\n", *["some words "] * 20, "\n\n- a\n- b\n\n")
        sized.wait_for_timeout(60)
        if n == 6:
            sight.switch("short")
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    sized.wait_for_timeout(200)
    assert sized.evaluate("window.shifts") - before < 0.02


def test_everything_can_be_done_from_the_keyboard(sight: Sight, worker: ScriptedWorker) -> None:
    """Each shortcut does what the help says."""
    page = sight.page
    first = None
    page.keyboard.type("First?")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: "job=" in url)
    first = sight.job_id
    worker.say(worker.take(first), "One")
    sight.sees("One")
    page.locator("#answer-card").focus()
    for key, transport in zip("54321", ("short", "long", "websocket", "sse", "auto"), strict=True):
        page.keyboard.press(key)
        expect(page.locator(f"input[value={transport}]")).to_be_checked()
    page.keyboard.press("m")
    expect(page.locator("#compare")).to_have_text("Comparing…")
    page.keyboard.press("c")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "One"
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.locator("#answer-card").focus()
    page.keyboard.press("s")
    expect(page.locator("#share-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#share-dialog")).to_be_hidden()
    sight.is_told("Answering")  # Escape closed the dialog, and did not stop the answer
    page.keyboard.press("Escape")
    sight.is_told("Stopped")
    page.keyboard.press("n")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("?/dn")
    expect(page.locator("#prompt")).to_have_value("?/dn")
    page.locator("#theme").focus()
    page.keyboard.press("j")
    page.wait_for_url(lambda url: first in url)
    page.keyboard.press("/")
    expect(page.locator("#prompt")).to_be_focused()
    page.locator("#answer-card").focus()
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.locator("#answer-card").focus()
    page.keyboard.press("n")
    assert sight.job_id == first


NAMED = """((it) => it.id || it.value || it.closest("summary")?.parentNode.id || it.textContent.trim())(
  document.activeElement)"""
TAB_ORDER = [
    *(
        "Skip to the answer",
        "brand",
        "Ask",
        "Operator",
        "API",
        "theme",
        "help-open",
        "new-job",
        "Why?completed · just now · kept 24 h",
        "✕",
    ),
    *("via", "copy", "share", "here", "again", "edit", "SSE", "WebSocket", "Long poll", "Short poll"),
    *("prompt", "model", "max-tokens", "ask", "costs", "facts-card"),
]


def test_every_control_is_reached_by_tab(sight: Sight, worker: ScriptedWorker) -> None:
    """Tab visits the elements in the order of the page, and each shows that it has the focus."""
    page = sight.page
    worker.answer(sight.ask(), "Done, [here](https://x.example).")
    sight.is_told("Complete")
    expect(page.locator("#job-list a")).to_have_count(1)
    page.locator(".skip").focus()
    reached: list[str] = ["Skip to the answer"]
    while len(reached) < len(TAB_ORDER):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(NAMED))
        outlined = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        hidden = "document.activeElement.matches('input[type=radio], body')"
        assert page.evaluate(f"{hidden} || {outlined}")
    assert reached == TAB_ORDER


HEARD = """() => { window.heard = []; for (const id of ["announce-state", "announce-text"]) {
  const region = document.getElementById(id);
  new MutationObserver(() => { if (region.textContent) window.heard.push(region.textContent); })
    .observe(region, { childList: true, characterData: true, subtree: true }); } }"""


def test_a_screen_reader_hears_sentences_and_no_tokens(sight: Sight, worker: ScriptedWorker) -> None:
    """Screen readers get a few announcements for a hundred tokens: states, whole sentences, the end."""
    page = sight.page
    page.evaluate(HEARD)
    writer = worker.take(sight.ask())
    for n in range(10):
        worker.say(writer, "This ", "is ", "sentence ", "number ", "**", f"{n}", "**", ". ", "And ", "so on. ")
        page.wait_for_timeout(30)
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    heard = page.evaluate("window.heard")
    assert len(heard) <= 8
    assert "Complete. 100 tokens." in heard
    assert any("sentence number 9." in text for text in heard)
    assert page.locator("[aria-live]").count() == 2
    assert page.locator("#answer [aria-live], #answer[aria-live]").count() == 0


def test_reduced_motion_moves_nothing(new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker) -> None:
    """With reduced motion the page has no transition and no animation."""
    page = new_context(reduced_motion="reduce").new_page()
    page.goto(harness.url)
    moving = """[...document.querySelectorAll("*")].filter((element) => {
      const style = getComputedStyle(element);
      return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0; }).length"""
    assert page.evaluate(moving) == 0
