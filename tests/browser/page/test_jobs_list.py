"""The list of jobs: searching, deleting, and what it says of each."""

import re

import requests
from playwright.sync_api import expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.sight import Sight
from tests.scripted_worker import ScriptedWorker


def test_jobs_are_found_by_their_words(sight: Sight, worker: ScriptedWorker) -> None:
    """The search looks at titles, models and states."""
    page = sight.page
    for prompt in ("Why is the sky blue?", "How are eggs boiled?"):
        worker.answer(sight.ask(prompt), "One")
        sight.is_told("Complete")
    sight.ask("Eggs once more?")
    items, search = page.locator("#job-list a"), page.get_by_role("searchbox", name="Search your jobs")
    expect(items).to_have_count(3)
    search.fill("EGGS")
    expect(items).to_have_count(2)
    search.fill("completed")
    expect(items).to_have_count(2)
    search.fill("no such words")
    expect(items).to_have_count(0)
    expect(page.locator("#jobs-none")).to_have_text("No job has these words.")
    search.fill("")
    expect(items).to_have_count(3)


def test_a_job_is_deleted_by_two_presses(sight: Sight, worker: ScriptedWorker, harness: BrowserHarness) -> None:
    """The first press asks; after the second the job is gone from the list, the page and the server."""
    page = sight.page
    kept = sight.ask("Keep?")
    worker.answer(kept, "Kept.")
    sight.is_told("Complete")
    gone = sight.ask("Delete me?")
    worker.answer(gone, "Secret.")
    sight.is_told("Complete")
    page.get_by_role("button", name="Delete Delete me?").click()
    page.get_by_role("button", name="Press again: Delete Delete me?").click()
    expect(page.locator("#job-list a")).to_have_count(1)
    expect(page.locator("#intro")).to_be_visible()
    assert "Secret" not in page.evaluate("JSON.stringify({...sessionStorage})")
    assert requests.get(f"{harness.url}/v1/jobs/{gone}", timeout=10).status_code == 410
    assert requests.get(f"{harness.url}/v1/jobs/{kept}", timeout=10).status_code == 200


def test_a_single_press_deletes_nothing(sight: Sight, worker: ScriptedWorker) -> None:
    """After a few seconds the button is what it was."""
    worker.answer(sight.ask("Keep?"), "Kept.")
    sight.is_told("Complete")
    sight.page.get_by_role("button", name="Delete Keep?").click()
    expect(sight.page.get_by_role("button", name="Press again: Delete Keep?")).to_have_text("Delete?")
    expect(sight.page.get_by_role("button", name="Delete Keep?", exact=True)).to_have_text("✕", timeout=8000)
    expect(sight.page.locator("#job-list a")).to_have_count(1)


def test_the_list_says_how_long_a_job_is_kept(sight: Sight, worker: ScriptedWorker) -> None:
    """A job that has ended expires; the list and the details say when."""
    worker.answer(sight.ask(), "One")
    sight.is_told("Complete")
    expect(sight.page.locator(".job-about")).to_have_text("completed · just now · kept 24 h")
    expect(sight.fact("expiry")).to_have_text("in 24 h")


def test_a_job_of_a_program_has_a_title(sight: Sight, worker: ScriptedWorker, harness: BrowserHarness) -> None:
    """A job without a title is listed by its model and time; its page shows the question, and asks all of it again."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "By a program?"}]
    answer = requests.post(f"{harness.url}/v1/jobs", json={"messages": messages}, timeout=10)
    worker.answer(answer.json()["id"], "One")
    sight.page.goto(f"{harness.url}/?job={answer.json()['id']}")
    sight.sees("One")
    expect(sight.page.locator(".job-title")).to_have_text(re.compile(r"^demo, \d+:\d\d.[AP]M$"))
    expect(sight.page.locator("#asked")).to_have_text("By a program?")
    with sight.page.expect_request(lambda request: request.method == "POST") as asked:
        sight.page.get_by_role("button", name="Ask again").click()
    assert (asked.value.post_data_json or {})["messages"] == messages
