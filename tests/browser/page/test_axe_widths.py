"""axe at five widths from 360 to 1920 pixels, in light and dark: each state is made once, and seen at all widths."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.browser.page.sight import Sight
from tests.browser.page.test_people import OVERFLOW, RICH, violations
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End, Reasoning

WIDTHS = (360, 768, 1024, 1440, 1920)
FAILURE = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "The provider has too much to do."))


@pytest.fixture(params=["light", "dark"])
def themed(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker, request: pytest.FixtureRequest
) -> Page:
    """The page in each theme."""
    page = new_context(color_scheme=request.param).new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    return page


def found(page: Page) -> dict[int, object]:
    """What is wrong, by width: violations, and what is wider than the window."""
    wrong: dict[int, object] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if at_this_width := violations(page):
            wrong[width] = at_this_width
        elif page.evaluate(OVERFLOW) > 0:
            wrong[width] = "wider than the window"
    return wrong


def test_axe_finds_nothing_at_any_width_of_an_answer(themed: Page, worker: ScriptedWorker) -> None:
    """The empty page, an answer under way and at its end, and the line of a replay."""
    assert found(themed) == {}
    sight = Sight(themed)
    writer = worker.take(sight.ask("How do I cook an egg?"))
    worker.say(writer, Reasoning("Eggs, then."), RICH)
    expect(sight.answer).to_contain_text("boil(")
    assert found(themed) == {}
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    themed.locator("#replay").get_by_role("button", name="Long poll").click()
    expect(themed.locator("#replayed")).to_contain_text("Read again over Long poll")
    assert found(themed) == {}


def test_axe_finds_nothing_at_any_width_of_a_kept_question(themed: Page, complaints: list[str]) -> None:
    """The question that waits for the server, with its button."""
    themed.route("**/v1/jobs", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    themed.locator("#prompt").fill("Kept? " * 20)
    themed.keyboard.press("Enter")
    expect(themed.locator("#kept")).to_be_visible()
    assert found(themed) == {}
    themed.close()  # else it may try again between the next line and the test's end
    complaints[:] = [text for text in complaints if "ERR_FAILED" not in text]


def test_axe_finds_nothing_at_any_width_of_the_other_pages(
    themed: Page, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """A failed answer, the operator's view of it, the page of an unknown address, and the page of the API."""
    sight = Sight(themed)
    worker.say(worker.take(sight.ask()), "Half", FAILURE)
    sight.is_told("Failed")
    assert found(themed) == {}
    themed.goto(f"{harness.url}/operator")
    expect(themed.locator("#last-rows tr")).to_have_count(1)
    expect(themed.locator("#reasons")).to_be_visible()
    assert found(themed) == {}
    themed.goto(f"{harness.url}/nothing/here")
    expect(themed.get_by_role("heading")).to_have_text("There is nothing at this address")
    assert found(themed) == {}
    themed.goto(f"{harness.url}/docs")
    expect(themed.locator(".opblock").first).to_be_visible()
    expect(themed.locator("#swagger-ui button a[href]")).to_have_count(0)
    assert found(themed) == {}
    complaints[:] = [text for text in complaints if "404" not in text]
