"""The pages of the examples and of the quick start in a real browser."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.examples.front import running_chat, running_front
from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.free_ports import free_ports
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.client import Client

WRITER = Path(__file__).parents[2] / "examples" / "content_writer"
QUICK_START = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()
OURS = "http://127.0.0.1:8000"


class Quiet(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, without its log."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def a_page(browser: Browser) -> Iterator[Page]:
    """A page of a browser without history; an uncaught error in the page fails the test."""
    faults: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
    yield page
    context.close()
    assert not faults


@contextmanager
def served(files: Mapping[str, str], folder: Path, valkey_url: str) -> Iterator[str]:
    """The address of a server for these files; Tokentail accepts requests from its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with BrowserHarness(valkey_url, with_nginx=False, TOKENTAIL_CORS_ORIGINS=url) as harness:
            for name, text in files.items():
                (folder / name).write_text(text.replace(OURS, harness.url))
            yield url
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def writer_url(tmp_path: Path, valkey_url: str) -> Iterator[str]:
    """The address of the content writer."""
    with served({file.name: file.read_text() for file in WRITER.iterdir()}, tmp_path, valkey_url) as url:
        yield url


def submitted(page: Page, button: str) -> str:
    """Wait for the job that the page submits; returns its id, which the page keeps in its address."""
    page.click(button)
    page.wait_for_url("**/?job=*")
    return page.url.rpartition("=")[2]


def test_the_content_writer_survives_reloads(writer_url: str, a_page: Page, worker: ScriptedWorker) -> None:
    """After a reload in mid-sentence the post continues and the notes are kept; a reset clears the post."""
    a_page.goto(writer_url)
    a_page.fill("#notes", "sky: blue. why? scattering")
    writer = worker.take(submitted(a_page, "text=Write"))
    worker.say(writer, "# Why the sky", " <img src=x onerror=alert(1)>")
    post = a_page.locator("#post")
    eventually(lambda: post.text_content() == "# Why the sky <img src=x onerror=alert(1)>", what="it is shown as text")
    a_page.reload()
    worker.say(writer, " is blue")
    eventually(lambda: (post.text_content() or "").endswith("> is blue"), what="it goes on after a reload")
    assert a_page.input_value("#notes") == "sky: blue. why? scattering"
    worker.say(writer, COMPLETED)
    eventually(lambda: a_page.text_content("#state") == "completed", what="its end is told")
    assert not a_page.is_enabled("#stop")


def test_the_content_writer_stops(writer_url: str, a_page: Page, worker: ScriptedWorker) -> None:
    """Stopping cancels the job and keeps its text."""
    a_page.goto(writer_url)
    a_page.fill("#notes", "sky")
    worker.say(worker.take(submitted(a_page, "text=Write")), "The sky")
    eventually(lambda: a_page.text_content("#post") == "The sky", what="it is shown")
    a_page.click("#stop")
    eventually(lambda: a_page.text_content("#state") == "cancelled", what="it is cancelled")
    assert a_page.text_content("#post") == "The sky"


def test_the_page_of_the_app_in_front(valkey_url: str, tmp_path: Path, a_page: Page, worker: ScriptedWorker) -> None:
    """A person logs in, asks and reloads; the page reads a stream through the app with the app's cookie alone."""
    with (
        BrowserHarness(valkey_url, with_nginx=False, TOKENTAIL_API_KEYS=KEY) as harness,
        running_front(harness.url, KEY, tmp_path) as front,
    ):
        a_page.goto(front)
        a_page.fill("[name=name]", "ada")
        a_page.fill("[name=password]", "lovelace")
        a_page.click("button")
        a_page.fill("#prompt", "Why?")
        writer = worker.take(submitted(a_page, "#form button"))
        worker.say(writer, "Because")
        eventually(lambda: a_page.text_content("#answer") == "Because", what="it is shown")
        a_page.reload()
        worker.say(writer, " it is", COMPLETED)
        eventually(lambda: a_page.text_content("#answer") == "Because it is", what="it goes on")
        eventually(lambda: a_page.text_content("#state") == "completed, by sse", what="its end is told")


def test_the_chat_keeps_its_history_over_reloads(
    valkey_url: str, tmp_path: Path, a_page: Page, worker: ScriptedWorker
) -> None:
    """Turn after turn; a reload in mid-answer shows the conversation, and the answer goes on."""
    (port,) = free_ports(1)  # Tokentail allows the site's origin, so that the site's port is chosen first
    with (
        BrowserHarness(
            valkey_url,
            with_nginx=False,
            TOKENTAIL_API_KEYS=KEY,
            TOKENTAIL_CORS_ORIGINS=f"http://127.0.0.1:{port}",
        ) as harness,
        running_chat(harness.url, KEY, tmp_path, port) as site,
        Client(harness.url, KEY) as client,
    ):
        a_page.goto(site)
        shown: list[str] = []
        for question, answer in (("Why?", "Because"), ("And then?", "Then")):
            a_page.fill("#question", question)
            a_page.click("button:enabled")
            shown_in_time(a_page, [*shown, question, ""])
            writer = worker.take(next(client.jobs()).id)
            worker.say(writer, answer)
            shown_in_time(a_page, [*shown, question, answer])
            a_page.evaluate("document.getElementById('form').requestSubmit()")  # in the middle of an answer
            a_page.reload()
            worker.say(writer, " so", COMPLETED)
            shown += [question, f"{answer} so"]
            shown_in_time(a_page, shown)
            eventually(lambda: a_page.is_enabled("button"), what="the next question may be asked")


def shown_in_time(page: Page, turns: list[str]) -> None:
    """Wait until the chat shows these questions and answers."""
    eventually(lambda: page.locator("#turns p").all_text_contents() == turns, what=f"the chat shows {turns}")


def test_the_page_of_the_quick_start(valkey_url: str, tmp_path: Path, a_page: Page, worker: ScriptedWorker) -> None:
    """The page of the quick start works as printed: ask, reload, and open its address a second time."""
    (page,) = re.findall(r"```html\n(.*?)```", QUICK_START, re.DOTALL)
    with served({"index.html": page, "favicon.ico": ""}, tmp_path, valkey_url) as url:
        a_page.goto(url)
        a_page.click("text=Ask")
        a_page.wait_for_url("**/#*")
        writer = worker.take(a_page.url.rpartition("#")[2])
        worker.say(writer, "Because")
        eventually(lambda: a_page.text_content("#answer") == "Because", what="it is shown")
        a_page.reload()
        worker.say(writer, " it is")
        eventually(lambda: a_page.text_content("#answer") == "Because it is", what="it goes on after a reload")
        second = a_page.context.new_page()
        second.goto(a_page.url)
        worker.say(writer, " blue", COMPLETED)
        whole = "Because it is blue"
        eventually(lambda: a_page.text_content("#answer") == whole, what="the first follows")
        eventually(lambda: second.text_content("#answer") == whole, what="the second follows")
