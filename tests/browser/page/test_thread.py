"""One answer from its first thought to its end: thinking, failing, asking again, reading again."""

import re

from playwright.sync_api import Page, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End, Reasoning

CALLS = """async () => (await import("/page/failure.js"))
  .callsWords({ provider_status: 529, provider_code: "busy" }, { provider_calls: 3 })"""


def test_reasoning_is_open_while_the_model_thinks(sight: Sight, worker: ScriptedWorker) -> None:
    """The seconds are counted; the first word of the answer folds the reasoning."""
    page = sight.page
    writer = worker.take(sight.ask())
    worker.say(writer, Reasoning("Let me think."))
    expect(page.locator("#reasoning-text")).to_be_visible()
    expect(page.locator("#reasoning-state")).to_have_text(re.compile(r"^Thinking [12] s$"))
    worker.say(writer, "An answer.")
    expect(page.locator("#reasoning-text")).to_be_hidden()
    expect(page.locator("#reasoning-state")).to_have_text(re.compile(r"^Thought for [123] s$"))
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    worker.say(worker.take(sight.ask("Another?")), "No thought.")
    sight.sees("No thought.")
    expect(page.locator("#reasoning")).to_be_hidden()


def test_who_unfolds_the_reasoning_keeps_it(sight: Sight, worker: ScriptedWorker) -> None:
    """What a person opened or closed stays so."""
    page = sight.page
    writer = worker.take(sight.ask())
    worker.say(writer, Reasoning("Let me think."))
    expect(page.locator("#reasoning-text")).to_be_visible()
    page.locator("#reasoning summary").click()
    expect(page.locator("#reasoning-text")).to_be_hidden()
    worker.say(writer, Reasoning(" Still."))
    expect(page.locator("#reasoning-size")).to_have_text("20 characters")
    expect(page.locator("#reasoning-text")).to_be_hidden()
    page.locator("#reasoning summary").click()
    worker.say(writer, "Text.")
    sight.sees("Text.")
    expect(page.locator("#reasoning-text")).to_be_visible()


def test_a_failure_says_its_kind_and_can_be_tried_again(sight: Sight, worker: ScriptedWorker) -> None:
    """The page names the kind, the calls and the provider's status; trying again asks the same of the same model."""
    page = sight.page
    failure = Failure(FailureKind.OVERLOADED, "Too much to do.", is_retryable=True, provider_status=529)
    first = sight.ask("Why fail?")
    worker.say(worker.take(first), "Half", End(Status.FAILED, error=failure))
    sight.is_told("Failed")
    expect(page.locator("#problem-kind")).to_have_text("The provider is overloaded")
    expect(page.locator("#job-problem")).to_have_text("Too much to do.")
    expect(page.locator("#problem-calls")).to_have_text("The last response had status 529.")
    assert page.evaluate(CALLS) == "The provider was called 3 times. The last response had status 529 and code busy."
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(lambda url: first not in url and "job=" in url)
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#asked")).to_have_text("Why fail?")
    worker.answer(sight.job_id, "Whole.")
    sight.sees("Whole.")


def test_a_question_can_be_asked_again_or_edited(sight: Sight, worker: ScriptedWorker) -> None:
    """Asking again makes another job of the same question; editing puts it into the prompt."""
    page = sight.page
    first = sight.ask("Why\nagain?")
    worker.answer(first, "One")
    sight.is_told("Complete")
    page.get_by_role("button", name="Ask again").click()
    page.wait_for_url(lambda url: first not in url and "job=" in url)
    expect(page.locator("#again")).to_be_hidden()  # until the answer has ended
    worker.answer(sight.job_id, "Two")
    sight.sees("Two")
    page.get_by_role("button", name="Edit").click()
    expect(page.locator("#prompt")).to_be_focused()
    expect(page.locator("#prompt")).to_have_value("Why\nagain?")


def test_an_ended_answer_is_read_again_over_each_transport(sight: Sight, worker: ScriptedWorker) -> None:
    """Each transport brings the same text, and the page says with how many requests. Nothing can be stopped then."""
    page = sight.page
    worker.say(worker.take(sight.ask()), Reasoning("Hm."), *[f"**{n}** " for n in range(300)], COMPLETED)
    text = " ".join(map(str, range(300)))
    sight.sees(text)
    for transport in ("WebSocket", "Long poll", "Short poll", "SSE"):
        page.get_by_role("group", name="Replay over").get_by_role("button", name=transport).click()
        told = re.compile(rf"^Read again over {transport}: \d+ requests?, [\d.]+ kB, [\d.]+ m?s\. The same text\.$")
        expect(page.locator("#replayed")).to_have_text(told)
        sight.is_told("Complete")
        sight.sees(text)
        expect(page.locator("#stop")).to_be_hidden()
        expect(sight.fact("tokens")).to_have_text("300")


def test_a_choice_in_the_menu_reads_an_ended_answer_again(sight: Sight, worker: ScriptedWorker) -> None:
    """The menu of transports does after the end what its buttons do."""
    worker.answer(sight.ask(), "One")
    sight.is_told("Complete")
    sight.switch("long")
    expect(sight.page.locator("#replayed")).to_contain_text("Read again over Long poll")
    sight.sees("One")


def test_the_menu_of_transports_folds_by_itself(sight: Sight, worker: ScriptedWorker) -> None:
    """Escape and a click elsewhere fold it; Escape gives the focus back and does not stop the answer."""
    page = sight.page
    worker.say(worker.take(sight.ask()), "One")
    sight.sees("One")
    menu = page.locator("#transports")
    page.locator("#via summary").click()
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(page.locator("#via summary")).to_be_focused()
    sight.is_told("Answering")
    page.locator("#via summary").click()
    page.locator("#state").click()
    expect(menu).to_be_hidden()
    sight.switch("long")
    expect(menu).to_be_hidden()
    expect(page.locator("#via-name")).to_have_text("Long poll")


def test_an_unknown_job_offers_a_way_on(page: Page, harness: BrowserHarness, complaints: list[str]) -> None:
    """The page and its title say that there is no such job; nothing of an answer is offered."""
    page.goto(f"{harness.url}/?job={'a' * 26}")
    expect(page.locator("#job-problem")).to_have_text("There is no such job, or it is not yours.")
    expect(page).to_have_title("Not found · Tokentail")
    for hidden in ("#via", "#after", "#retry", "#copy", "#share", "#costs", "#facts-card"):
        expect(page.locator(hidden)).to_be_hidden()
    page.get_by_role("link", name="Ask something new").click()
    expect(page.locator("#intro")).to_be_visible()
    complaints[:] = [text for text in complaints if "404" not in text]
