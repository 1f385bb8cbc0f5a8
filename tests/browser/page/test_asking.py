"""Asking, watching, switching, stopping and reloading."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import PHONE, NewContext
from tests.browser.page.sight import TRANSPORTS, Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import Failure, FailureKind, FinishReason, Status, Usage
from tokentail.log.element import End
from tokentail.redis.backend import now_ms

END_IN_VIEW = """end => end.getBoundingClientRect().bottom
  <= document.getElementById("composer").getBoundingClientRect().top"""


def test_tokens_are_seen_as_they_come(sight: Sight, worker: ScriptedWorker) -> None:
    """Each token is shown before the next one is made; at the end the figures are the provider's."""
    writer = worker.take(sight.ask("Why is the sky blue?"))
    expect(sight.page.locator("#asked")).to_have_text("Why is the sky blue?")
    sight.is_told("Answering")
    worker.say(writer, "Because")
    sight.sees("Because")
    worker.say(writer, " of Rayleigh.")
    sight.sees("Because of Rayleigh.")
    worker.say(writer, End(Status.COMPLETED, FinishReason.LENGTH, "length", Usage(12, 34, 5)))
    sight.is_told("Complete, stopped at the token limit")
    expect(sight.fact("usage")).to_have_text("12 and 34 (5 reasoning)")
    expect(sight.fact("tokens")).to_have_text("2")
    expect(sight.fact("first")).to_have_text(re.compile(r"^[\d.,]+ m?s$"))
    expect(sight.fact("attempts")).to_have_text("1")
    expect(sight.page.locator("#stop")).to_be_disabled()


@pytest.mark.parametrize("first", ["auto", "short"])
def test_switching_the_transport_in_mid_answer_loses_nothing(sight: Sight, worker: ScriptedWorker, first: str) -> None:
    """Each transport can replace each other one while tokens arrive; every token is shown once and in order."""
    sight.ask("Earlier?")
    sight.switch(first)
    writer = worker.take(sight.ask())
    said = []
    for round_ in range(3):
        for transport in TRANSPORTS:
            said += [f"{round_}.{transport}.{n} " for n in range(5)]
            worker.say(writer, *said[-5:-3])
            sight.switch(transport)
            worker.say(writer, *said[-3:])
            if round_ != 1:  # in one round nobody waits for what the last one has not shown
                sight.sees("".join(said).strip())
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    sight.sees("".join(said).strip())
    for name in ("SSE", "WebSocket", "Long poll", "Short poll"):
        requests = sight.page.get_by_role("row", name=name).get_by_role("cell").first
        expect(requests).to_have_text(re.compile(r"^[\d,]+$"))


def test_a_reload_goes_on_at_the_cursor(sight: Sight, worker: ScriptedWorker) -> None:
    """The text so far is shown at once after a reload, without a request for it; the rest follows."""
    writer = worker.take(sight.ask("Why, o why?"))
    worker.say(writer, "One", " two")
    sight.sees("One two")
    asked: list[str] = []
    sight.page.on("request", lambda request: asked.append(request.url))
    sight.page.reload()
    sight.sees("One two")
    expect(sight.page.locator("#asked")).to_have_text("Why, o why?")
    worker.say(writer, " three", COMPLETED)
    sight.sees("One two three")
    sight.is_told("Complete")
    reads = [url for url in asked if re.search("/(stream|events|ws)", url)]
    assert reads
    assert not any(re.search(r"cursor=0(&|$)", url) for url in reads)
    sight.page.reload()
    sight.sees("One two three")


def test_another_tab_reads_from_the_beginning(sight: Sight, worker: ScriptedWorker) -> None:
    """The page's address is enough to see the answer elsewhere."""
    writer = worker.take(sight.ask())
    worker.say(writer, "One")
    sight.sees("One")
    other = Sight(sight.page.context.new_page())
    other.page.goto(sight.page.url)
    other.sees("One")
    worker.say(writer, " two", COMPLETED)
    other.sees("One two")
    sight.sees("One two")


def test_back_and_forth_are_the_browsers_own(sight: Sight, worker: ScriptedWorker) -> None:
    """Each answer is an entry in the browser's history."""
    worker.answer(sight.ask("First?"), "The first.")
    sight.sees("The first.")
    worker.answer(sight.ask("Second?"), "The second.")
    sight.sees("The second.")
    sight.page.go_back()
    sight.sees("The first.")
    sight.page.go_forward()
    sight.sees("The second.")


def test_a_reset_clears_what_was_shown(sight: Sight, worker: ScriptedWorker) -> None:
    """When another attempt starts from the beginning, nothing of the first one stays."""
    job_id = sight.ask()
    writer = worker.take(job_id)
    worker.say(writer, "# Wrong", "\n\nand gone")
    expect(sight.answer).to_contain_text("and gone")
    worker.backend.store.requeue(job_id, writer.attempt, 1, now_ms())
    worker.say(worker.take(job_id), "Right", COMPLETED)
    sight.sees("Right")
    expect(sight.fact("tokens")).to_have_text("1")


def test_stop_is_final(sight: Sight, worker: ScriptedWorker) -> None:
    """A stopped answer keeps its text; where the provider had not counted the output, the page shows an estimate."""
    worker.say(worker.take(sight.ask()), "One", " two")
    sight.sees("One two")
    sight.page.locator("#stop").click()
    sight.is_told("Stopped")
    sight.sees("One two")
    expect(sight.fact("usage")).to_have_text("? and about 2")


def test_a_failure_says_what_it_was(sight: Sight, worker: ScriptedWorker) -> None:
    """The text of a failed job stays, and the page names the failure."""
    failure = Failure(FailureKind.OVERLOADED, "The provider has too much to do.")
    worker.say(worker.take(sight.ask()), "Half", End(Status.FAILED, error=failure))
    sight.is_told("Failed")
    expect(sight.page.locator("#job-problem")).to_have_text("The provider has too much to do.")
    sight.sees("Half")


def test_what_is_refused_is_told_beside_the_prompt(sight: Sight, complaints: list[str]) -> None:
    """The page shows why a prompt was refused, and keeps the prompt."""
    sight.page.locator("#max-tokens").fill("99999999999999999999")
    sight.page.get_by_role("textbox", name="Prompt").fill("Why?")
    sight.page.get_by_role("button", name="Ask", exact=True).click()
    expect(sight.page.locator("#submit-problem")).to_be_visible()
    expect(sight.page.get_by_role("textbox", name="Prompt")).to_have_value("Why?")
    complaints[:] = [text for text in complaints if "status of 4" not in text]


def test_who_waits_is_told_for_what(sight: Sight, worker: ScriptedWorker) -> None:
    """A waiting job shows its queue position and what it waits for."""
    sight.ask("First?")
    sight.is_told("In the queue, waiting for a free slot")
    sight.ask("Second?")
    expect(sight.fact("place")).to_have_text("2.")
    worker.backend.fleet.beat("scripted", Lease(2, 10, [], []))
    sight.is_told("In the queue, waiting for a worker with this model")


def test_recent_jobs_are_a_list_to_choose_from(sight: Sight, worker: ScriptedWorker) -> None:
    """Jobs are listed newest first, by their prompts; the shown job is marked."""
    first = sight.ask("First?")
    worker.answer(first, "The first.")
    sight.is_told("Complete")
    worker.answer(sight.ask("Second?"), "The second.")
    sight.is_told("Complete")
    items = sight.page.locator("#job-list a")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("Second?")
    expect(items.first).to_have_attribute("aria-current", "page")
    items.nth(1).click()
    sight.sees("The first.")
    assert sight.job_id == first


def test_the_comparison_measures_all_four(sight: Sight, worker: ScriptedWorker) -> None:
    """A stream needs one request and polls need many; short polls are late; each transport reads the whole answer."""
    writer = worker.take(sight.ask())
    worker.say(writer, "Zero")
    sight.sees("Zero")
    sight.page.get_by_role("button", name="Compare all four, live").click()
    for n in range(25):
        worker.say(writer, f" {n}")
        sight.page.wait_for_timeout(60)
    worker.say(writer, COMPLETED)
    expect(sight.page.get_by_role("button", name="Compare all four, live")).to_be_disabled()
    seen = {}
    for name in ("SSE", "WebSocket", "Long poll", "Short poll"):
        row = sight.page.get_by_role("row", name=name)
        expect(row.get_by_role("cell").nth(2)).to_have_text(re.compile(r"^[\d.]+ m?s$"))
        requests, _, delay = row.get_by_role("cell").all_inner_texts()
        number, unit = delay.split()
        seen[name] = int(requests), float(number) * (1000 if unit == "s" else 1)
    assert seen["SSE"][0] == seen["WebSocket"][0] == 1
    assert seen["Long poll"][0] > 5
    assert seen["Short poll"][1] > seen["WebSocket"][1]
    assert seen["Short poll"][1] > 20


def test_a_key_is_traded_for_a_cookie(
    keyed_harness: BrowserHarness, new_context: NewContext, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """The page asks for the key once, keeps it out of scripts' reach, and cannot read jobs after signing out."""
    page = new_context().new_page()
    page.goto(keyed_harness.url)
    page.get_by_label("API key").fill("a-wrong-one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This server does not know that key.")).to_be_visible()
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#sign-in")).to_be_hidden()
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    worker.answer(sight.ask(), "Since you ask.")
    sight.sees("Since you ask.")
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert KEY not in stored
    assert KEY not in page.content()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#sign-in")).to_be_visible()
    assert "Since you ask" not in page.evaluate("JSON.stringify({...sessionStorage})")
    complaints[:] = [text for text in complaints if "401" not in text]


def test_a_share_link_is_read_on_a_phone(
    keyed_harness: BrowserHarness, new_context: NewContext, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """A share link shows its job live and without a key; its page can neither change the job nor show others."""
    page = new_context().new_page()
    page.goto(keyed_harness.url)
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    writer = worker.take(sight.ask("Why share?"))
    worker.say(writer, "One")
    sight.sees("One")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_label("Link")).to_have_value(re.compile("token="))
    link = page.get_by_label("Link").input_value()
    complaints[:] = [text for text in complaints if "401" not in text]

    phone = Sight(new_context(viewport=PHONE, has_touch=True, is_mobile=True).new_page())
    phone.page.goto(link)
    phone.sees("One")
    expect(phone.page.locator("#asked")).to_have_text("Why share?")
    expect(phone.page.get_by_text("A shared answer.")).to_be_visible()
    for hidden in ("#composer", "#jobs", "#sign-in", "#jobs-open", "#stop", "#share", "#again", "#edit"):
        expect(phone.page.locator(hidden)).to_be_hidden()
    for transport in ("websocket", "long", "short", "sse"):
        phone.switch(transport)
        worker.say(writer, f" {transport}")
        expect(phone.answer).to_contain_text(transport)
    worker.say(writer, COMPLETED)
    phone.sees("One websocket long short sse")
    phone.page.reload()
    phone.sees("One websocket long short sse")


def test_a_link_to_nothing_says_so(page: Page, harness: BrowserHarness, complaints: list[str]) -> None:
    """The page says that a job is unknown."""
    page.goto(f"{harness.url}/?job={'a' * 26}")
    expect(page.locator("#job-problem")).to_have_text("There is no such job, or it is not yours.")
    complaints[:] = [text for text in complaints if "404" not in text]


def test_the_end_of_a_growing_answer_stays_in_view(sight: Sight, worker: ScriptedWorker) -> None:
    """The page follows the end while it is in view; after scrolling up it stays, with buttons to return and
    stop; the composer never covers the end."""
    page = sight.page
    end = page.locator("#answer-end")
    writer = worker.take(sight.ask())
    for n in range(30):
        worker.say(writer, f"Paragraph {n}.\n\n")
        expect(sight.answer).to_contain_text(f"Paragraph {n}.")
        assert end.evaluate(END_IN_VIEW)
    expect(page.locator("#stop")).to_be_in_viewport()
    page.evaluate("scrollTo(0, 0)")
    worker.say(writer, "More.\n\n" * 5)
    expect(sight.answer).to_contain_text("More.")
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#stop")).to_be_in_viewport()
    page.locator("#to-newest").click()
    assert end.evaluate(END_IN_VIEW)
    page.locator("#stop").click()
    sight.is_told("Stopped")
