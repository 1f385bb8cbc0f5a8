"""The operator's view."""

import re

import requests
from playwright.sync_api import Page, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.sight import Sight
from tests.scripted_worker import ScriptedWorker
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.jobs.spending import Spent
from tokentail.log.element import End


def test_it_shows_how_the_deployment_stands(
    page: Page, sight: Sight, harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """The view shows workers, slots, queue, states, errors, throughput, and links to the answers."""
    worker.answer(sight.ask("First?"), "Fine.")
    failure = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "Too much to do."))
    worker.say(worker.take(sight.ask("Second?")), "Half", failure)
    third = sight.ask("Third?")
    page.goto(f"{harness.url}/operator")
    expect(page.locator("#state-text")).to_have_text("1 of the last 2 answers failed (overloaded 1).")
    expect(page.locator("#reasons")).to_contain_text("tokentail list --all --status failed")
    expect(page.locator("#workers")).to_have_text("1")
    expect(page.locator("#slots")).to_have_text("0 of 10 slots in use")
    expect(page.locator("#queued")).not_to_have_text("0")
    for state, number in {"queued": 1, "completed": 1, "failed": 1, "cancelled": 0}.items():
        expect(page.locator(f"#states [data-state={state}] .number")).to_have_text(str(number))
    expect(page.locator("#errors")).to_have_text(re.compile("^overloaded, 1.: Too much to do.$"))
    expect(page.locator("#last-rows tr")).to_have_count(3)
    expect(page.locator("#worker-rows tr")).to_contain_text(["demo"])
    expect(page.locator("#usage-rows tr td")).to_have_text(["without a key", "3", "0", "0", "0"])
    worker.backend.admission.leave("", third, Spent("failed", 1200, 34))
    expect(page.locator("#usage-rows tr td")).to_have_text(["without a key", "3", "1", "1,200", "34"], timeout=8000)
    writer = worker.take(third)
    worker.backend.fleet.beat("scripted", Lease(2, 10, [writer.attempt], []))
    worker.say(writer, *["word "] * 100)
    expect(page.locator("#slots")).to_have_text("1 of 10 slots in use")
    expect(page.locator("#running")).to_have_text("1")
    expect(page.locator("#tokens")).not_to_have_text("0", timeout=8000)
    page.get_by_role("link", name="First?").click()
    Sight(page).sees("Fine.")


def test_it_says_that_no_worker_lives(page: Page, harness: BrowserHarness, worker: ScriptedWorker) -> None:
    """The view says that there is no worker, and what to do."""
    worker.backend.fleet.leave("scripted")
    page.goto(f"{harness.url}/operator")
    expect(page.locator("#state-text")).to_have_text("No workers running: jobs are waiting")
    expect(page.locator("#workers-none")).to_be_visible()


def test_it_is_green_while_answers_are_completed_and_amber_when_they_fail(
    page: Page, sight: Sight, harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """The mark beside the words has the state's colour, and the reasons appear and go with it."""
    worker.answer(sight.ask("First?"), "Fine.")
    page.goto(f"{harness.url}/operator")
    expect(page.locator("#state-text")).to_have_text("All is well")
    expect(page.locator("#state")).to_have_attribute("data-state", "completed")
    expect(page.locator("#reasons")).to_be_hidden()
    failure = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "Too much to do."))
    worker.say(
        worker.take(str(requests.post(f"{harness.url}/v1/jobs", json={"prompt": "a"}, timeout=10).json()["id"])),
        failure,
    )
    expect(page.locator("#state")).to_have_attribute("data-state", "amber", timeout=8000)
    expect(page.locator("#reasons")).to_be_visible()


def test_old_figures_are_grey_and_say_so(
    page: Page, sight: Sight, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """While the server cannot read Redis, the figures are those of the last look, with its time and the reason."""
    worker.answer(sight.ask("First?"), "Fine.")
    page.goto(f"{harness.url}/operator")
    expect(page.locator("#state-text")).to_have_text("All is well")
    away = {"detail": "Redis does not answer. Nothing was lost; try again shortly."}
    page.route("**/v1/overview", lambda route: route.fulfill(status=503, json=away))
    expect(page.locator("#state-text")).to_have_text(
        re.compile(r"^Figures of .*: Redis does not answer\."), timeout=8000
    )
    expect(page.locator("#state")).to_have_attribute("data-state", "old")
    page.unroute("**/v1/overview")
    expect(page.locator("#state-text")).to_have_text("All is well", timeout=8000)
    complaints[:] = [text for text in complaints if "503" not in text]
