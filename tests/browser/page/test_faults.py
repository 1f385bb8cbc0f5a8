"""What goes wrong around the page: no clipboard, no such job, no worker yet, little room; keys and focus."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.house import BrowserHouse
from tests.browser.page.conftest import PHONE, NewContext
from tests.browser.page.sight import Sight
from tests.programs import CHROMIUM
from tests.scripted_worker import ScriptedWorker
from tokentail.store import RedisClient

HOST = "tokentail.lan"  # by plain HTTP no secure context, as an address in the office is
REFUSING = "document.execCommand = () => false;"
FOCUSED = "document.activeElement.id || document.activeElement.tagName"


@pytest.fixture(scope="module")
def lan_house(valkey_url: str) -> Iterator[BrowserHouse]:
    with BrowserHouse(valkey_url, with_nginx=False, TOKENTAIL_ALLOWED_HOSTS=HOST) as house:
        yield house


@pytest.fixture
def lan_context(browser: Browser, real_client: RedisClient, complaints: list[str]) -> Iterator[BrowserContext]:
    """A browser to which the host is this machine."""
    rules = [f"--host-resolver-rules=MAP {HOST} 127.0.0.1", "--no-sandbox", "--disable-dev-shm-usage"]
    own = browser.browser_type.launch(executable_path=CHROMIUM.require(), args=rules)
    context = own.new_context()
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    own.close()


@pytest.mark.parametrize("is_refused", [False, True], ids=["old command", "by hand"])
def test_without_a_clipboard_text_is_still_copied(
    lan_house: BrowserHouse, lan_context: BrowserContext, worker: ScriptedWorker, is_refused: bool
) -> None:
    """By the older command; where that is refused too, it is selected, and the page says what to press."""
    if is_refused:
        lan_context.add_init_script(REFUSING)
    page = lan_context.new_page()
    page.goto(lan_house.url.replace("127.0.0.1", HOST))
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
    """Into the prompt, in place of what is there."""
    if by_hand:
        page.keyboard.press("Control+C")
    page.locator("#prompt").fill("")
    page.keyboard.press("Control+V")


def test_a_link_that_only_this_computer_can_open_is_called_that(sight: Sight, worker: ScriptedWorker) -> None:
    """Whoever means to open it on a phone learns it here, and not there."""
    worker.answer(sight.ask(), "One")
    sight.is_told("Complete")
    sight.page.locator("#share").click()
    expect(sight.page.locator("#share-note")).to_contain_text("Other devices cannot open it: 127.0.0.1 is")


@pytest.mark.parametrize("is_deleted", [False, True], ids=["unknown", "deleted"])
def test_a_link_to_nothing_is_asked_about_once(
    page: Page, house: BrowserHouse, worker: ScriptedWorker, complaints: list[str], is_deleted: bool
) -> None:
    """It is not found, or gone, which is no failure; and there is nothing to share or copy."""
    job_id = "a" * 26
    if is_deleted:
        job_id = Sight(page).ask()
        assert house.web.ask("DELETE", f"/v1/jobs/{job_id}").status == 204
        page.goto("about:blank")
        complaints.clear()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if job_id in request.url.split("?")[0] else None)
    page.goto(f"{house.url}/?job={job_id}")
    Sight(page).is_told("Deleted or expired" if is_deleted else "Not found")
    expect(page.locator("#job-problem")).to_be_visible()
    for button in ("share", "copy", "stop", "compare"):
        expect(page.locator(f"#{button}")).to_be_disabled()
    page.wait_for_timeout(500)
    assert asked == [f"{house.url}/v1/jobs/{job_id}"]
    complaints[:] = [text for text in complaints if not re.search("status of 4(04|10)", text)]


def test_the_focus_is_never_lost(sight: Sight, worker: ScriptedWorker, complaints: list[str]) -> None:
    """After asking it is at the answer; a button that goes off hands it on; after a refusal it is in the prompt."""
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
    """Whoever writes the next prompt meant that field."""
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
    new_context: NewContext, house: BrowserHouse, worker: ScriptedWorker, complaints: list[str]
) -> None:
    """A worker that still starts, and a server that answers nonsense, are no reason to reload."""
    page = new_context().new_page()
    answers = ["nonsense", '{"object": "list", "data": [], "default": null}']

    def answer(route: Route) -> None:
        if not answers:
            return route.continue_()
        body = answers.pop(0)
        return route.fulfill(status=422 if body == "nonsense" else 200, content_type="application/json", body=body)

    page.route("**/v1/models", answer)
    page.goto(house.url)
    expect(page.locator("#model")).to_contain_text("waiting for a worker")
    expect(page.locator("#model")).to_have_value("demo", timeout=10_000)
    expect(page.locator("#job-problem")).to_be_hidden()
    assert not answers
    complaints[:] = [text for text in complaints if "422" not in text]


def test_the_answer_has_the_screen(sight: Sight, worker: ScriptedWorker) -> None:
    """On a small laptop it begins in the upper half, once there is a job; without one the composer is whole again."""
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
    new_context: NewContext, house: BrowserHouse, worker: ScriptedWorker
) -> None:
    """For whoever asks, to the eye and to the keyboard; and the help, where screen readers are set, is in reach."""
    page = new_context(viewport=PHONE, has_touch=True, is_mobile=True).new_page()
    page.goto(house.url)
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


def test_operators_tables_fit_a_phone(new_context: NewContext, house: BrowserHouse, worker: ScriptedWorker) -> None:
    """Every cell is on the screen, with its label, and they are tables still to a screen reader."""
    page = new_context(viewport=PHONE, has_touch=True, is_mobile=True).new_page()
    page.goto(house.url)
    expect(page.locator("#model")).to_have_value("demo")
    worker.answer(Sight(page).ask("A question that has rather many words in its title"), "One")
    page.goto(f"{house.url}/operator")
    expect(page.locator("#last-rows tr")).to_have_count(1)
    boxes = [cell.bounding_box() for cell in page.locator(".table td").all()]
    assert len(boxes) == 4 + 7
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    jobs = page.get_by_role("table").nth(1)
    assert jobs.get_by_role("cell").nth(1).evaluate("cell => getComputedStyle(cell, '::before').content") == '"State"'
    expect(jobs.get_by_role("row")).to_have_count(2)
