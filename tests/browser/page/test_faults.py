"""Faults around the page: no clipboard, an unknown job, no worker, a small screen; shortcuts and focus."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import PHONE, NewContext
from tests.browser.page.sight import Sight
from tests.programs import CHROMIUM
from tests.scripted_worker import ScriptedWorker
from tokentail.redis.client import RedisClient

HOST = "tokentail.lan"  # by plain HTTP no secure context, as an address in the office is
REFUSING = "document.execCommand = () => false;"
FOCUSED = "document.activeElement.id || document.activeElement.tagName"


@pytest.fixture(scope="module")
def lan_harness(valkey_url: str) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=False, TOKENTAIL_ALLOWED_HOSTS=HOST) as harness:
        yield harness


@pytest.fixture
def lan_context(browser: Browser, real_client: RedisClient, complaints: list[str]) -> Iterator[BrowserContext]:
    """A browser that resolves the host to this machine."""
    rules = [f"--host-resolver-rules=MAP {HOST} 127.0.0.1", "--no-sandbox", "--disable-dev-shm-usage"]
    own = browser.browser_type.launch(executable_path=CHROMIUM.require(), args=rules)
    context = own.new_context()
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    own.close()


@pytest.mark.parametrize("is_refused", [False, True], ids=["old command", "by hand"])
def test_without_a_clipboard_text_is_still_copied(
    lan_harness: BrowserHarness, lan_context: BrowserContext, worker: ScriptedWorker, is_refused: bool
) -> None:
    """The older command copies; if it is refused too, the text is selected, and the page names the keys to press."""
    if is_refused:
        lan_context.add_init_script(REFUSING)
    page = lan_context.new_page()
    page.goto(lan_harness.url.replace("127.0.0.1", HOST))
    assert page.evaluate("[isSecureContext, typeof navigator.clipboard]") == [False, "undefined"]
    expect(page.locator("#model")).to_have_value("demo", timeout=10_000)
    sight = Sight(page)
    worker.answer(sight.ask(), "**One** two")
    sight.is_told("Complete")
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Press Ctrl+C" if is_refused else "Copied")
    _paste(page, by_hand=is_refused)
    expect(page.locator("#prompt")).to_have_value("**One** two")
    page.locator("#share").click()
    page.locator("#share-copy").click()
    expect(page.locator("#share-copy")).to_have_text("Press Ctrl+C" if is_refused else "Copied")
    expect(page.locator("#share-note")).not_to_contain_text("Other devices")
    link = page.locator("#share-link").input_value()
    assert link.startswith(f"http://{HOST}")
    if is_refused:
        page.keyboard.press("Control+C")
    page.keyboard.press("Escape")
    _paste(page, by_hand=False)
    expect(page.locator("#prompt")).to_have_value(link)


def _paste(page: Page, *, by_hand: bool) -> None:
    """Pasting replaces the prompt."""
    if by_hand:
        page.keyboard.press("Control+C")
    page.locator("#prompt").fill("")
    page.keyboard.press("Control+V")


def test_a_link_that_only_this_computer_can_open_is_called_that(sight: Sight, worker: ScriptedWorker) -> None:
    """The page warns before a person tries the link on a phone."""
    worker.answer(sight.ask(), "One")
    sight.is_told("Complete")
    sight.page.locator("#share").click()
    expect(sight.page.locator("#share-note")).to_contain_text("Other devices cannot open it: 127.0.0.1 is")


@pytest.mark.parametrize("is_deleted", [False, True], ids=["unknown", "deleted"])
def test_a_link_to_nothing_is_asked_about_once(
    page: Page, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str], is_deleted: bool
) -> None:
    """The page shows an unknown or deleted job as not found, not as failed, and offers nothing to share or copy."""
    job_id = "a" * 26
    if is_deleted:
        job_id = Sight(page).ask()
        assert harness.web.ask("DELETE", f"/v1/jobs/{job_id}").status == 204
        page.goto("about:blank")
        complaints.clear()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if job_id in request.url.split("?")[0] else None)
    page.goto(f"{harness.url}/?job={job_id}")
    Sight(page).is_told("Deleted or expired" if is_deleted else "Not found")
    expect(page.locator("#job-problem")).to_be_visible()
    for button in ("share", "copy", "stop", "compare"):
        expect(page.locator(f"#{button}")).to_be_disabled()
    page.wait_for_timeout(500)
    assert asked == [f"{harness.url}/v1/jobs/{job_id}"]
    complaints[:] = [text for text in complaints if not re.search("status of 4(04|10)", text)]


def test_the_focus_is_never_lost(sight: Sight, worker: ScriptedWorker, complaints: list[str]) -> None:
    """The focus is on the answer after asking and in the prompt after a refusal; a disabled button passes it on."""
    page = sight.page
    job_id = sight.ask()
    assert page.evaluate(FOCUSED) == "answer-card"
    worker.say(worker.take(job_id), "One")
    sight.sees("One")
    page.locator("#compare").click()
    assert page.evaluate(FOCUSED) == "answer-card"
    page.locator("#stop").click()
    sight.is_told("Stopped")
    assert page.evaluate(FOCUSED) == "answer-card"
    page.locator("#max-tokens").fill("99999999999999999999")
    page.locator("#prompt").fill("Why?")
    page.locator("#ask").click()
    expect(page.locator("#submit-problem")).to_be_visible()
    assert page.evaluate(FOCUSED) == "prompt"
    complaints[:] = [text for text in complaints if "status of 4" not in text]


def test_escape_in_a_field_stops_nothing(sight: Sight, worker: ScriptedWorker) -> None:
    """Escape belongs to the field while a person writes the next prompt."""
    page = sight.page
    writer = worker.take(sight.ask())
    worker.say(writer, "One")
    sight.sees("One")
    for field in ("prompt", "max-tokens", "model"):
        page.locator(f"#{field}").focus()
        page.keyboard.press("Escape")
    worker.say(writer, " two")
    sight.sees("One two")
    sight.is_told("Answering")
    page.locator("#answer-card").focus()
    page.keyboard.press("Escape")
    sight.is_told("Stopped")


def test_models_are_asked_for_until_there_are_some(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """The page needs no reload after a worker started late or a response made no sense."""
    page = new_context().new_page()
    answers = ["nonsense", '{"object": "list", "data": [], "default": null}']

    def answer(route: Route) -> None:
        if not answers:
            return route.continue_()
        body = answers.pop(0)
        return route.fulfill(status=422 if body == "nonsense" else 200, content_type="application/json", body=body)

    page.route("**/v1/models", answer)
    page.goto(harness.url)
    expect(page.locator("#model")).to_contain_text("waiting for a worker")
    expect(page.locator("#model")).to_have_value("demo", timeout=10_000)
    expect(page.locator("#job-problem")).to_be_hidden()
    assert not answers
    complaints[:] = [text for text in complaints if "422" not in text]


def test_the_answer_has_the_screen(sight: Sight, worker: ScriptedWorker) -> None:
    """On a small laptop a shown answer starts in the upper half; without a job the composer is large."""
    page = sight.page
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator("#examples").is_visible()
    worker.answer(sight.ask(), "One")
    sight.sees("One")
    top = page.locator("#answer-card").evaluate("card => card.getBoundingClientRect().top")
    assert top < 400
    ask, model = page.locator("#ask").bounding_box(), page.locator("#model").bounding_box()
    assert ask is not None
    assert model is not None
    assert abs(ask["y"] - model["y"]) < 4
    page.keyboard.press("n")
    expect(page.locator("#examples")).to_be_visible()


def test_on_a_phone_the_answer_comes_before_its_measurements(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """The answer is before the costs on the screen and in the order of the focus, and the help can be reached."""
    page = new_context(viewport=PHONE, has_touch=True, is_mobile=True).new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    worker.answer(sight.ask(), "One")
    sight.sees("One")
    places = [page.locator(id_).bounding_box() for id_ in ("#bar", "#answer-card", "#costs", "#facts-card")]
    tops = [place["y"] for place in places if place]
    assert len(tops) == 4
    assert tops == sorted(tops)
    after = "document.getElementById('answer-card').compareDocumentPosition(document.getElementById('costs'))"
    assert page.evaluate(after) == 4  # DOCUMENT_POSITION_FOLLOWING
    page.locator("#help-open").click()
    expect(page.get_by_label("Screen readers announce finished sentences")).to_be_visible()


def test_operators_tables_fit_a_phone(new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker) -> None:
    """Every cell is on the screen with its label, and screen readers still find tables."""
    page = new_context(viewport=PHONE, has_touch=True, is_mobile=True).new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    worker.answer(Sight(page).ask("A question that has rather many words in its title"), "One")
    page.goto(f"{harness.url}/operator")
    expect(page.locator("#last-rows tr")).to_have_count(1)
    boxes = [cell.bounding_box() for cell in page.locator(".table td").all()]
    assert len(boxes) == 4 + 5 + 9  # of a worker, a key and a job
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    jobs = page.get_by_role("table").filter(has=page.locator("#last-rows"))
    assert jobs.get_by_role("cell").nth(1).evaluate("cell => getComputedStyle(cell, '::before').content") == '"State"'
    expect(jobs.get_by_role("row")).to_have_count(2)
