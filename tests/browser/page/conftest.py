"""The page in a real Chromium, directly at a web process. Any message on the console fails the test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.browser.page.sight import Sight
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.redis.client import RedisClient

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}

# What Chromium says of a socket that is given up while it connects: somebody was quick to change the transport again.
UNAVOIDABLE = "closed before the connection is established"

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="session")
def shared_harness(valkey_url: str, browser: Browser) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=False) as harness:
        yield harness


@pytest.fixture(scope="session")
def shared_keyed_harness(valkey_url: str, browser: Browser) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=False, TOKENTAIL_API_KEYS=KEY) as harness:
        yield harness


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Messages on the browsers' consoles; any message fails the test unless the test removes it from the list."""
    complaints: list[str] = []
    yield complaints
    assert [text for text in complaints if UNAVOIDABLE not in text] == []


@pytest.fixture
def new_context(browser: Browser, complaints: list[str], real_client: RedisClient) -> Iterator[NewContext]:
    """`new_context(viewport=…, color_scheme=…)` makes a browser profile without history.

    It is closed before the store is emptied: a page that still reads its job would complain of a 404.
    """
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
def page(context: BrowserContext, harness: BrowserHarness, worker: ScriptedWorker) -> Page:
    """The page of an open harness that has a worker."""
    # What is served is known a second late; the store was emptied a moment ago.
    eventually(lambda: "demo" in requests.get(f"{harness.url}/v1/models", timeout=10).text, within_s=10)
    page = context.new_page()
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo")
    return page


@pytest.fixture
def sight(page: Page) -> Sight:
    return Sight(page)
