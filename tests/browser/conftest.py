"""A real Chromium, and what it talks to: every test once straight and once through nginx."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.house import BrowserHouse
from tests.programs import CHROMIUM
from tests.scripted_worker import ScriptedWorker
from tests.valkey_server import ValkeyServer
from tokentail.backend import Backend, wire
from tokentail.settings import load_settings
from tokentail.store import RedisClient

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


# A Valkey of these tests' own: their web processes live as long as the session, and sweep whatever they find.
@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A real Valkey, without durability."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_url(valkey_server: ValkeyServer) -> str:
    """Its unix:// URL."""
    return valkey_server.url


@pytest.fixture
def real_client(valkey_server: ValkeyServer) -> Iterator[RedisClient]:
    """A client of it; it is empty."""
    client = valkey_server.connect()
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session", params=["straight", "nginx"])
def shared_house(valkey_url: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserHouse]:
    with BrowserHouse(valkey_url, with_nginx=request.param == "nginx") as house:
        yield house


@pytest.fixture
def house(shared_house: BrowserHouse, real_client: RedisClient) -> Iterator[BrowserHouse]:
    """An open house, over an empty store."""
    yield shared_house
    shared_house.begin()


@pytest.fixture(scope="session", params=["straight", "nginx"])
def shared_keyed_house(valkey_url: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserHouse]:
    with BrowserHouse(valkey_url, with_nginx=request.param == "nginx", TOKENTAIL_API_KEYS=KEY) as house:
        yield house


@pytest.fixture
def keyed_house(shared_keyed_house: BrowserHouse, real_client: RedisClient) -> BrowserHouse:
    """One that asks for a key, over an empty store."""
    return shared_keyed_house


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without a past, and with page.js in its pages."""
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
def page(shared_page: Page, house: BrowserHouse) -> Iterator[Page]:
    """A page of the open house, just loaded."""
    shared_page.goto(house.url + PAGE)
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
