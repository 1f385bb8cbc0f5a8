"""The mark in the head of the page: nothing while all is well, amber when answers fail, grey without figures."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.test_people import violations

FAILING = {
    "state": "answers fail",
    "reasons": [{"what": "3 of the last 4 answers failed (timeout 3).", "do": "See why: tokentail list --all"}],
}
AWAY = {"detail": "Redis does not answer. Nothing was lost; try again shortly."}


def _colour_of(page: Page, element: str) -> object:
    return page.locator(element).evaluate("it => getComputedStyle(it).backgroundColor")


def _colour_named(page: Page, name: str) -> object:
    """The colour that a variable has in the theme that is shown."""
    return page.evaluate(
        """name => { const probe = document.createElement("i"); probe.style.backgroundColor = `var(${name})`;
          document.body.append(probe); const colour = getComputedStyle(probe).backgroundColor; probe.remove();
          return colour; }""",
        name,
    )


def _reloaded_with(page: Page, status: int, body: object) -> None:
    page.unroute_all()

    def answer(route: Route) -> None:
        route.fulfill(status=status, json=body)

    page.route("**/v1/overview", answer)
    page.reload()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_mark_is_amber_when_answers_fail_and_grey_without_figures(
    page: Page, harness: BrowserHarness, complaints: list[str], scheme: str
) -> None:
    """The words say which of both it is, the title says what to do, and the link leads to the operator's view."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    mark, words = page.locator("#health"), page.locator("#health-text")
    expect(mark).to_be_hidden()
    _reloaded_with(page, 200, FAILING)
    expect(words).to_have_text("Some answers fail")
    expect(mark).to_have_attribute(
        "title", "3 of the last 4 answers failed (timeout 3). See why: tokentail list --all."
    )
    assert _colour_of(page, "#health .dot") == _colour_named(page, "--wait")
    assert violations(page) == []
    _reloaded_with(page, 503, AWAY)
    expect(words).to_have_text("Redis does not answer")
    expect(mark).to_have_attribute("title", AWAY["detail"])
    assert _colour_of(page, "#health .dot") == _colour_named(page, "--faint")
    assert violations(page) == []
    _reloaded_with(page, 502, "somebody else's answer")
    expect(words).to_have_text("The server does not answer")
    assert _colour_of(page, "#health .dot") == _colour_named(page, "--faint")
    page.unroute_all()
    mark.click()
    page.wait_for_url(f"{harness.url}/operator")
    complaints[:] = [text for text in complaints if "status of 50" not in text]
