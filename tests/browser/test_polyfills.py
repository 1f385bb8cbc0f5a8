"""Other people's EventSources, unmodified, in Chromium: a return is no new question, and each word is shown once."""

import signal
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.harness import BrowserHarness
from tests.browser.seen import events, raw_text, soon, streamed_text
from tests.browser.test_event_source import submitted_job
from tests.npm import npm_package
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.redis.backend import Backend

# Package, its file, and the name of its class.
POLYFILLS = [
    ("event-source-polyfill@1.0.31", "src/eventsource.js", "EventSourcePolyfill"),
    ("reconnecting-eventsource@1.6.5", "dist/ReconnectingEventSource.min.js", "ReconnectingEventSource"),
]
FOLLOW = """([name, address]) => {
  const source = new (window[name].default ?? window[name])(address, { max_retry_time: 500 });
  source.addEventListener("message", (event) => {
    seen.events.push({ id: event.lastEventId, data: event.data });
    if (event.data === "[DONE]") source.close();
  });
  source.addEventListener("job", (event) => seen.answers.push(event.lastEventId));
  source.addEventListener("error", () => seen.failures.push(source.readyState));
  window.source = source;
}"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The source of each polyfill."""
    folder: Path = tmp_path_factory.mktemp("polyfills")
    return {spec: (npm_package(spec, folder) / file).read_text("utf-8") for spec, file, _ in POLYFILLS}


@pytest.mark.parametrize(("spec", "_file", "name"), POLYFILLS)
def test_a_polyfill_goes_on_with_the_job_that_it_asked_for(
    harness: BrowserHarness,
    page: Page,
    worker: ScriptedWorker,
    own: Backend,
    packages: dict[str, str],
    spec: str,
    _file: str,
    name: str,
) -> None:
    """On `/stream`, where a return that is taken for a question would cost another answer."""
    follow(page, packages[spec], name, "/stream?query=why")
    job_id = submitted_job(own)
    writer = worker.take(job_id)
    worker.say(writer, "one")
    soon(lambda: raw_text(page) == "one", what="the page sees it")
    for word in (" two", " three"):
        cut(harness, page)
        worker.say(writer, word)
        harness.begin()
        soon(lambda: raw_text(page).endswith(word), what="the polyfill goes on")  # noqa: B023 - asked at once
    worker.say(writer, COMPLETED)
    soon(lambda: events(page)[-1]["data"] == "[DONE]", what="it has ended")
    assert raw_text(page) == "one two three"
    assert own.store.jobs_of("", None, 10) == [job_id]


@pytest.mark.parametrize(("spec", "_file", "name"), POLYFILLS)
def test_a_polyfill_that_was_cut_off_before_the_first_word_asks_nothing_anew(
    harness: BrowserHarness,
    page: Page,
    worker: ScriptedWorker,
    own: Backend,
    packages: dict[str, str],
    spec: str,
    _file: str,
    name: str,
) -> None:
    """On `/stream`, while the model still thinks: the stream's first event has the id already."""
    follow(page, packages[spec], name, "/stream?query=why")
    job_id = submitted_job(own)
    soon(lambda: page.evaluate("seen.answers") == [f"{job_id}:0"], what="the page knows the job")
    cut(harness, page)
    harness.begin()
    worker.say(worker.take(job_id), "one", COMPLETED)
    soon(lambda: events(page)[-1:] and events(page)[-1]["data"] == "[DONE]", what="it has ended")
    assert raw_text(page) == "one"
    assert own.store.jobs_of("", None, 10) == [job_id]


@pytest.mark.parametrize(("spec", "_file", "name"), POLYFILLS)
def test_a_polyfill_goes_on_with_a_job_s_stream(
    harness: BrowserHarness,
    page: Page,
    worker: ScriptedWorker,
    packages: dict[str, str],
    spec: str,
    _file: str,
    name: str,
) -> None:
    """A `cursor` in its address is where it began, not where it is."""
    job_id = worker.submit()
    follow(page, packages[spec], name, f"/v1/jobs/{job_id}/stream?cursor=0")
    writer = worker.take(job_id)
    worker.say(writer, "one")
    soon(lambda: streamed_text(page) == "one", what="the page sees it")
    cut(harness, page)
    worker.say(writer, " two")
    harness.begin()
    soon(lambda: streamed_text(page) == "one two", what="the polyfill goes on")


def follow(page: Page, source: str, name: str, address: str) -> None:
    page.evaluate(source)
    page.evaluate(FOLLOW, [name, address])


def cut(harness: BrowserHarness, page: Page) -> None:
    """End the server, and wait until the polyfill has noticed it."""
    count = page.evaluate("seen.failures.length")
    harness.end(signal.SIGKILL)
    soon(lambda: page.evaluate("seen.failures.length") > count, what="the polyfill notices")
