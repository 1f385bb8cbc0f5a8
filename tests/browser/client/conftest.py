"""A page that reads with tokentail.js, directly from a web process or through a hostile proxy."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.log.writer import LogWriter
from tokentail.redis.client import RedisClient

READER = Path(__file__).parent / "reader.js"
ANY_PAGE = "/tokentail.js"  # its policy is the one of our pages
COMMAND = (sys.executable, "-m", "tests.browser.client.hostile_proxy")


class ProxyProcess:
    """A hostile proxy in front of a port."""

    def __init__(self, target_port: int) -> None:
        self._child = subprocess.Popen(
            [*COMMAND, str(target_port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.url = f"http://127.0.0.1:{self._line()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()
        self._child.kill()
        self._child.wait(10)

    def be(self, **manner: int | bool | str) -> None:
        """Set how the proxy behaves from now on; see `hostile_proxy.py`."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(manner) + "\n")
        assert self._line() == "ok"

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()


class Reader:
    """A page with tokentail.js, and what the page has read."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def connect(self, **options: Any) -> None:
        """Make the page's client; `timing` may be among the options."""
        self.page.evaluate("options => connect(options)", options)

    def connect_as_it_is(self) -> None:
        """Make a client without any options, so with the default times."""
        self.page.evaluate("async () => { window.tokentail = new (await import('/tokentail.js')).Tokentail() }")

    def read(self, job_id: str, **options: Any) -> None:
        """Start to follow a job."""
        self.page.evaluate("([job, options]) => { readJob(job, options) }", [job_id, options])

    def seen(self, name: str) -> Any:
        """What the page recorded under one of the names text, cursor, steps, moves, traffic, done, failure."""
        return self.page.evaluate("name => read[name]", name)

    @property
    def text(self) -> str:
        return str(self.seen("text"))

    @property
    def transport(self) -> str:
        """The transport of the last step."""
        return str(self.page.evaluate("read.steps.at(-1)?.transport"))

    @property
    def requests(self) -> int:
        """The number of requests that the page has made to follow its job."""
        counted: int = self.page.evaluate("Object.values(read.traffic).reduce((sum, one) => sum + one.requests, 0)")
        return counted


class Speech:
    """A job that gets tokens, and a reader that must see each token before the next one is appended."""

    def __init__(self, worker: ScriptedWorker, reader: Reader) -> None:
        self._worker = worker
        self._reader = reader
        self.job_id = worker.submit()
        self.text = ""
        self._writer: LogWriter | None = None

    @property
    def writer(self) -> LogWriter:
        self._writer = self._writer or self._worker.take(self.job_id)
        return self._writer

    def say(self, token: str) -> None:
        """Append tokens without waiting for the reader."""
        self._worker.say(self.writer, token)
        self.text += token

    def heard(self, within_s: float = 10.0) -> None:
        """Wait until the reader has exactly the text so far."""
        eventually(lambda: self._reader.text == self.text, within_s=within_s, what=f"the page shows {self.text!r}")

    def until(self, is_enough: Callable[[], object], *, least: int = 3, most: int = 200) -> None:
        """Append word after word until `is_enough`."""
        for number in range(most):
            self.say(f" w{number}é")
            self.heard()
            if number + 1 >= least and is_enough():
                return
        raise AssertionError(f"still not enough; moves: {self._reader.seen('moves')}")


@pytest.fixture(scope="session")
def shared_straight_harness(valkey_url: str) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=False) as harness:
        yield harness


@pytest.fixture(scope="session")
def shared_locked_harness(valkey_url: str) -> Iterator[BrowserHarness]:
    with BrowserHarness(valkey_url, with_nginx=False, TOKENTAIL_API_KEYS=KEY) as harness:
        yield harness


@pytest.fixture
def straight_harness(shared_straight_harness: BrowserHarness, real_client: RedisClient) -> Iterator[BrowserHarness]:
    """A web process over an empty store."""
    yield shared_straight_harness
    shared_straight_harness.begin()


@pytest.fixture
def locked_harness(shared_locked_harness: BrowserHarness, real_client: RedisClient) -> BrowserHarness:
    """A web process that requires a key, over an empty store."""
    return shared_locked_harness


@pytest.fixture
def proxy(straight_harness: BrowserHarness) -> Iterator[ProxyProcess]:
    """A proxy in front of the web process; it does no harm until a test sets another behaviour."""
    with ProxyProcess(straight_harness.web.port) as proxy:
        yield proxy


@pytest.fixture
def open_reader(context: BrowserContext) -> Iterator[Callable[[str], Reader]]:
    """`open_reader(url)`: a page from there, with reader.js in it. No error may reach its console uncaught."""
    errors: list[str] = []
    with ExitStack() as pages:

        def opened(url: str) -> Reader:
            page = context.new_page()
            pages.callback(page.close)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.add_init_script(path=READER)
            page.goto(url + ANY_PAGE)
            return Reader(page)

        yield opened
        assert not errors


@pytest.fixture
def reader(open_reader: Callable[[str], Reader], proxy: ProxyProcess) -> Reader:
    """A page that was loaded through the proxy."""
    return open_reader(proxy.url)


@pytest.fixture
def speech(worker: ScriptedWorker, reader: Reader) -> Speech:
    return Speech(worker, reader)
