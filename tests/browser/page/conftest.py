"""The page in a real Chromium, straight at a web process: what people see of it. Whatever it logs fails the test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import KEY
from tests.browser.house import BrowserHouse
from tests.browser.page.sight import Sight
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}

# What Chromium says of a socket that is given up while it connects: somebody was quick to change the transport again.
UNAVOIDABLE = "closed before the connection is established"

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="session")
def shared_house(valkey_url: str, browser: Browser) -> Iterator[BrowserHouse]:
    with BrowserHouse(valkey_url, with_nginx=False) as house:
        yield house


@pytest.fixture(scope="session")
def shared_keyed_house(valkey_url: str, browser: Browser) -> Iterator[BrowserHouse]:
    with BrowserHouse(valkey_url, with_nginx=False, TOKENTAIL_API_KEYS=KEY) as house:
        yield house


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What browsers said on their consoles; anything fails the test, but for what it takes out of the list."""
    complaints: list[str] = []
    yield complaints
    assert [text for text in complaints if UNAVOIDABLE not in text] == []


@pytest.fixture
def new_context(browser: Browser, complaints: list[str]) -> Iterator[NewContext]:
    """`new_context(viewport=…, color_scheme=…)`: a browser of its own, without a past."""
    contexts: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(10_000)
        context.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def context(new_context: NewContext) -> BrowserContext:
    return new_context()


@pytest.fixture
def page(context: BrowserContext, house: BrowserHouse, worker: ScriptedWorker) -> Page:
    """The page of an open house that has a worker."""
    # What is served is known a second late; the store was emptied a moment ago.
    eventually(lambda: "demo" in requests.get(f"{house.url}/v1/models", timeout=10).text, within_s=10)
    page = context.new_page()
    page.goto(house.url)
    expect(page.locator("#model")).to_have_value("demo")
    return page


@pytest.fixture
def sight(page: Page) -> Sight:
    return Sight(page)
