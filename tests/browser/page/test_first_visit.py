"""The page before the first question: what is there, what is not, and what can be tried."""

import re

from playwright.sync_api import Page, Route, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.jobs.models import ServedModel

LOCAL = ServedModel("local/smollm2-135m", "local", "openai_chat")


def test_before_the_first_question_there_is_only_the_prompt(sight: Sight, worker: ScriptedWorker) -> None:
    """The instruments, the transport and the list of jobs appear with the first answer; the prompt goes below it."""
    page = sight.page
    for hidden in ("#costs", "#facts-card", "#bar", "#answer-card", "#jobs-title", "#health"):
        expect(page.locator(hidden)).not_to_be_visible()
    for shown in ("#intro", "#prompt", "#examples", "#race"):
        expect(page.locator(shown)).to_be_visible()
    worker.answer(sight.ask(), "One")
    sight.sees("One")
    for shown in ("#costs", "#facts-card", "#bar", "#jobs-title"):
        expect(page.locator(shown)).to_be_visible()
    for hidden in ("#intro", "#examples", "#race"):
        expect(page.locator(hidden)).to_be_hidden()
    composer, card = page.locator("#composer").bounding_box(), page.locator("#answer").bounding_box()
    assert composer is not None
    assert card is not None
    assert composer["y"] > card["y"] + card["height"]
    assert composer["y"] + composer["height"] == 900  # the bottom of the window


def test_enter_asks_and_shift_enter_makes_a_line(sight: Sight) -> None:
    """Enter while a word is being composed belongs to the input method."""
    page = sight.page
    page.locator("#prompt").focus()
    page.keyboard.type("First")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second")
    composing = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true})"
    assert page.evaluate(f"document.getElementById('prompt').dispatchEvent({composing})")
    expect(page.locator("#prompt")).to_have_value("First\nsecond")
    page.keyboard.press("Enter")
    expect(page.locator("#asked")).to_have_text("First\nsecond", use_inner_text=True)
    expect(page.locator("#prompt")).to_have_value("")


def test_the_comparison_starts_a_run_of_its_own(sight: Sight, worker: ScriptedWorker) -> None:
    """One click on the empty page: the demo of a minute is asked for, and four transports read all of it."""
    page = sight.page
    with page.expect_request(lambda request: request.method == "POST") as asked:
        page.locator("#race").click()
    assert (asked.value.post_data_json or {})["model"] == "demo?tokens=1200&tps=20"
    page.wait_for_url(lambda url: "job=" in url)
    expect(page.locator("#compare")).to_have_text("Comparing…")
    writer = worker.take(sight.job_id)
    worker.say(writer, "One", " two")
    sight.sees("One two")
    worker.say(writer, COMPLETED)
    expect(page.locator("#compare")).to_have_text("Compare all four, live")
    for name in ("SSE", "WebSocket", "Long poll", "Short poll"):
        cells = page.get_by_role("row", name=name).get_by_role("cell")
        expect(cells.nth(2)).to_have_text(re.compile(r"^[\d.]+ m?s$"))


def test_the_demo_is_listed_with_its_options(sight: Sight) -> None:
    """The list has a demo of a minute and one that thinks first."""
    options = sight.page.locator("#model option")
    expect(options).to_have_text(["demo (random words)", "demo of a minute", "demo?reasoning=40 (it thinks first)"])


def test_a_tiny_model_is_called_tiny(new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker) -> None:
    """The name in the list says so, and a line says how to bring a better one; no such line is there for others."""
    page = new_context().new_page()
    models = {"object": "list", "data": [_model(LOCAL), _model(ServedModel("demo", "demo", "demo"))]}

    def answer(route: Route) -> None:
        route.fulfill(json={**models, "default": LOCAL.name})

    page.route("**/v1/models", answer)
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value(LOCAL.name)
    expect(page.locator("#model option").first).to_have_text("local/smollm2-135m (tiny, on this CPU)")
    expect(page.locator("#model-note")).to_contain_text("OPENAI_API_KEY=… tokentail up")
    page.locator("#model").select_option("demo")
    expect(page.locator("#model-note")).to_be_hidden()


def _model(served: ServedModel) -> dict[str, str]:
    return {"id": served.name, "object": "model", "owned_by": served.provider}


def test_an_errors_message_goes_with_the_next_try(page: Page, complaints: list[str]) -> None:
    """A refusal stays until the person writes or does something else, and never stands beside a newer one."""
    page.locator("#max-tokens").fill("99999999999999999999")
    page.locator("#prompt").fill("Why?")
    page.locator("#ask").click()
    expect(page.locator("#submit-problem")).to_be_visible()
    page.locator("#prompt").press("End")
    page.keyboard.type("!")
    expect(page.locator("#submit-problem")).to_be_hidden()
    page.locator("#ask").click()
    expect(page.locator("#submit-problem")).to_be_visible()
    page.locator("#race").click()
    page.wait_for_url(lambda url: "job=" in url)
    expect(page.locator("#submit-problem")).to_be_hidden()
    complaints[:] = [text for text in complaints if "status of 4" not in text]
