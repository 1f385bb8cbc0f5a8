"""Sharing: how long a link works is the owner's choice, and all links can be revoked."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.browser.page.sight import Sight
from tests.scripted_worker import ScriptedWorker

PROBLEM = "application/problem+json"
WITH_TOKEN = re.compile(r"[?&]token=")


@pytest.fixture
def dialog(
    keyed_harness: BrowserHarness, new_context: NewContext, worker: ScriptedWorker, complaints: list[str]
) -> Page:
    """A page with its owner signed in, an answer, and the dialog open."""
    page = new_context().new_page()
    page.goto(keyed_harness.url)
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_value("demo")
    complaints[:] = [text for text in complaints if "401" not in text]
    sight = Sight(page)
    worker.answer(sight.ask(), "One")
    sight.sees("One")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator("#share-link")).to_have_value(WITH_TOKEN)
    return page


def test_the_owner_chooses_how_long_a_link_works(dialog: Page) -> None:
    """A week at first; each choice makes a new link, and the note names its end."""
    link, note, life = dialog.locator("#share-link"), dialog.locator("#share-note"), dialog.locator("#share-life")
    expect(life).to_have_value("604800")
    for seconds, words in ((600, "10 minutes"), (3600, "an hour"), (86400, "a day"), (604800, "a week")):
        before, told = link.input_value(), note.inner_text()
        with dialog.expect_request(lambda request: request.url.endswith("/share")) as asked:
            life.select_option(words)
        assert asked.value.post_data_json == {"expires_in_s": seconds}
        expect(link).to_have_value(WITH_TOKEN)
        assert link.input_value() != before
        expect(note).not_to_have_text(told)
        expect(note).to_contain_text("Anyone with this link can read this answer")
        expect(dialog.locator("#share-copy")).to_be_enabled()


def test_revoked_links_open_nothing_and_a_new_one_does(
    dialog: Page, new_context: NewContext, complaints: list[str]
) -> None:
    """After that the dialog has no link until the owner chooses the life of a new one."""
    link, revoke = dialog.locator("#share-link"), dialog.get_by_role("button", name="Revoke all links")
    old = link.input_value()
    revoke.click()
    expect(dialog.locator("#share-note")).to_contain_text("No link to this answer works any more")
    expect(link).to_have_value("")
    for button in (revoke, dialog.locator("#share-copy")):
        expect(button).to_be_disabled()
    expect(dialog.locator("#share-life")).to_be_focused()
    reader = Sight(new_context().new_page())
    reader.page.goto(old)
    expect(reader.page.locator("#job-problem")).to_have_text("This link has expired or was revoked.")
    expect(reader.page.locator("#reader-note")).to_be_hidden()  # it says that the answer can be read
    dialog.locator("#share-life").select_option("a week")
    expect(link).to_have_value(WITH_TOKEN)
    expect(revoke).to_be_enabled()
    reader.page.goto(link.input_value())
    reader.sees("One")
    expect(reader.page.locator("#reader-note")).to_be_visible()
    complaints[:] = [text for text in complaints if "401" not in text]


def test_a_refusal_is_shown_in_the_dialog(dialog: Page, complaints: list[str]) -> None:
    """The reason is where the owner looks, and no link is shown that was not made."""
    body, content_type = '{"type": "urn:tokentail:problem:forbidden", "detail": "Not now.", "status": 403}', PROBLEM
    dialog.route("**/share", lambda route: route.fulfill(status=403, body=body, content_type=content_type))
    dialog.locator("#share-life").select_option("a day")
    expect(dialog.locator("#share-note")).to_contain_text("Not now.")
    expect(dialog.locator("#share-link")).to_have_value("")
    complaints[:] = [text for text in complaints if "403" not in text]


def test_without_keys_there_is_nothing_to_choose(sight: Sight, worker: ScriptedWorker) -> None:
    """Where a job's id is enough to read it, a link neither ends nor can be revoked."""
    worker.answer(sight.ask(), "One")
    sight.is_told("Complete")
    sight.page.get_by_role("button", name="Share", exact=True).click()
    expect(sight.page.locator("#share-link")).to_have_value(re.compile("job="))
    for control in ("#share-life", "#share-revoke"):
        expect(sight.page.locator(control)).to_be_hidden()
