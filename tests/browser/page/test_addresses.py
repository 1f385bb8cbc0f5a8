"""The page by each name of this machine: what works at one works at the other."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker

NAMES = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_works_by_each_name_of_this_machine(
    new_context: NewContext, keyed_harness: BrowserHarness, worker: ScriptedWorker, complaints: list[str], name: str
) -> None:
    """The session's cookie opens the page and its WebSocket; the link that is shared opens by the other name, too."""
    page = new_context().new_page()
    page.goto(keyed_harness.url.replace("127.0.0.1", name))
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#model")).to_have_value("demo")
    sight = Sight(page)
    writer = worker.take(sight.ask())
    worker.say(writer, "One")
    sight.sees("One")
    with page.expect_websocket() as socket:
        sight.switch("websocket")
    assert f"//{name}:" in socket.value.url
    worker.say(writer, " two", COMPLETED)
    sight.is_told("Complete")
    sight.sees("One two")
    page.reload()
    sight.sees("One two")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_label("Link")).not_to_have_value("")
    link = page.get_by_label("Link").input_value()
    assert f"//{name}:" in link
    for address in (link, link.replace(name, NAMES[name])):
        reader = new_context().new_page()
        reader.goto(address)
        Sight(reader).sees("One two")
    complaints[:] = [text for text in complaints if "401" not in text]
