"""A real Chromium and its server: every test runs once directly and once through nginx."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.harness import BrowserHarness
from tests.programs import CHROMIUM
from tests.scripted_worker import ScriptedWorker
from tokentail.config.settings import load_settings
from tokentail.redis.backend import Backend, wire
from tokentail.redis.client import RedisClient

SCRIPT = Path(__file__).parent / "page.js"
KEY = "a-key-of-the-tests"

# Any address of ours that a page may speak to us from: its policy has connect-src 'self'.
PAGE = "/docs/initializer.js"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here; without one they are skipped, or fail where CI is set."""
    path = CHROMIUM.require()
    with sync_playwright() as playwright:
        # Its sandbox needs rights that containers do not give; nothing but our own pages is opened.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=["straight", "nginx"])
def shared_harness(valkey_url: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=request.param == "nginx") as harness:
        yield harness


@pytest.fixture
def harness(shared_harness: BrowserHarness, real_client: RedisClient) -> Iterator[BrowserHarness]:
    """A harness without keys, over an empty store."""
    yield shared_harness
    shared_harness.begin()


@pytest.fixture(scope="session", params=["straight", "nginx"])
def shared_keyed_harness(valkey_url: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=request.param == "nginx", TOKENTAIL_API_KEYS=KEY) as harness:
        yield harness


@pytest.fixture
def keyed_harness(shared_keyed_harness: BrowserHarness, real_client: RedisClient) -> BrowserHarness:
    """A harness that requires a key, over an empty store."""
    return shared_keyed_harness


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without history, and with page.js in its pages."""
    context = browser.new_context(ignore_https_errors=True)
    context.add_init_script(path=SCRIPT)
    yield context
    context.close()


@pytest.fixture(scope="session")
def shared_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.add_init_script(path=SCRIPT)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(shared_page: Page, harness: BrowserHarness) -> Iterator[Page]:
    """A page of the harness without keys, just loaded."""
    shared_page.goto(harness.url + PAGE)
    yield shared_page
    shared_page.goto("about:blank")  # which ends what it has open


@pytest.fixture
def own(real_client: RedisClient) -> Backend:
    return wire(real_client, real_client, load_settings({}))


@pytest.fixture
def worker(own: Backend) -> ScriptedWorker:
    worker = ScriptedWorker(own)
    worker.beat()
    return worker
