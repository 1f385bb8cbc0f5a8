"""tokentail.js in Chromium: tabs that are hidden, networks and machines that go away and come back, reloads."""

import signal

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.redis.backend import Backend, now_ms
from tokentail.redis.client import RedisClient

SHOW = """state => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
REMEMBERING = """async job => {
  const { recall, remember } = await import("/tokentail.js");
  readJob(recall().job ?? remember(job));
}"""
STORING = """job => {
  const kept = JSON.parse(sessionStorage.getItem("answer") ?? "null") ?? { job, cursor: "0", text: "" };
  read.text = kept.text;
  window.onstep = (step) => {
    sessionStorage.setItem("answer", JSON.stringify({ job: kept.job, cursor: step.cursor, text: read.text }));
  };
  readJob(kept.job, { cursor: kept.cursor });
}"""


@pytest.mark.parametrize("transport", ["auto", "websocket", "long", "short"])
def test_a_hidden_tab_lets_go_and_catches_up(
    transport: str, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A hidden tab sends no requests; when the tab is visible again, it receives all that it missed at once."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=2)
    reader.page.evaluate(SHOW, "hidden")
    eventually(lambda: straight_harness.web.ask("GET", "/healthz").status == 200, what="the server has seen it go")
    requests = reader.requests
    for number in range(20):
        speech.say(f" hidden{number}")
    assert (reader.requests, "hidden" in reader.text) == (requests, False)
    reader.page.evaluate(SHOW, "visible")
    speech.heard(within_s=3)
    caught_up = [len(step["tokens"]) for step in reader.seen("steps") if " hidden0" in step["tokens"]]
    assert caught_up == [20]
    speech.until(lambda: True, least=2)
    assert reader.seen("moves") == []


def test_a_hidden_tab_may_go_on(reader: Reader, speech: Speech) -> None:
    """With `pauseHidden: false` a hidden tab continues to read, for instance to ring a bell at the end."""
    reader.connect()
    reader.read(speech.job_id, pauseHidden=False)
    speech.until(lambda: True, least=1)
    reader.page.evaluate(SHOW, "hidden")
    speech.until(lambda: True)
    assert reader.requests == 1


@pytest.mark.parametrize("transport", ["auto", "long"])
def test_an_offline_browser_goes_on_when_it_is_online(
    transport: str, context: BrowserContext, reader: Reader, speech: Speech
) -> None:
    """The client does not wait for its next retry, because the browser reports that the network is back."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True)
    context.set_offline(True)
    eventually(lambda: reader.page.evaluate("!navigator.onLine"), what="the browser knows that it is offline")
    requests = reader.requests
    for number in range(3):
        speech.say(f" offline{number}")
    if transport == "long":  # a stream that is open may live on
        eventually(lambda: reader.requests > requests, what="a poll has failed")
    context.set_offline(False)
    speech.heard(within_s=5)
    speech.until(lambda: True)


@pytest.mark.parametrize("transport", ["auto", "websocket", "long"])
def test_a_machine_that_slept_does_not_trust_its_connections(
    transport: str, proxy: ProxyProcess, reader: Reader, speech: Speech
) -> None:
    """After a machine's sleep connections look open but are dead; a jump of the clock shows it before any timeout."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True)
    proxy.be(freezes=True)
    speech.say(" meanwhile")
    reader.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3600e3; }")
    speech.heard(within_s=6)


def test_a_stream_that_falls_silent_is_given_up(proxy: ProxyProcess, reader: Reader, speech: Speech) -> None:
    """A stream without even a heartbeat is given up, because a proxy holds it back."""
    reader.connect(timing={"silentMs": 1000})
    reader.read(speech.job_id)
    speech.until(lambda: True)
    proxy.be(freezes=True)
    speech.say(" held back")
    speech.heard()
    # plain-english: ok
    assert reader.seen("moves") == [["long", "the stream has gone mute"]]


def test_a_websocket_that_falls_silent_is_looked_after(proxy: ProxyProcess, reader: Reader, speech: Speech) -> None:
    """A poll checks a silent WebSocket, since browsers hide pings; a WebSocket that withholds something is given up."""
    reader.connect(timing={"silentMs": 1000})
    reader.read(speech.job_id, transport="websocket")
    speech.until(lambda: True)
    eventually(lambda: reader.transport == "short", what="the poll has found nothing")
    speech.until(lambda: True)
    assert (reader.transport, reader.seen("moves")) == ("websocket", [])
    proxy.be(freezes=True)
    speech.say(" held back")
    speech.heard()
    assert reader.seen("moves") == [["sse", "the WebSocket is mute"]]
    speech.until(lambda: reader.transport == "sse")


@pytest.mark.parametrize("transport", ["auto", "websocket", "long", "short"])
def test_abort_ends_it_at_once(transport: str, reader: Reader, speech: Speech) -> None:
    """An abort in the middle of a wait throws the error that fetch would throw, and no request follows."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=2)
    took_ms = reader.page.evaluate(
        """async () => {
          const began = performance.now();
          aborting.abort();
          while (!read.failure) await new Promise((resolve) => setTimeout(resolve));
          return performance.now() - began;
        }"""
    )
    assert took_ms < 100
    assert reader.seen("failure")["name"] == "AbortError"
    requests = reader.requests
    speech.say(" unheard")
    assert (reader.requests, "unheard" in reader.text) == (requests, False)


@pytest.mark.parametrize("script", [REMEMBERING, STORING], ids=["address", "storage"])
def test_a_reload_goes_on(script: str, reader: Reader, speech: Speech, worker: ScriptedWorker) -> None:
    """After a reload the page reads the job in its address from the start; with text and cursor kept, only the rest."""
    reader.connect()
    reader.page.evaluate(script, speech.job_id)
    speech.say("Before the reload,")
    speech.until(lambda: True)
    reader.page.reload()
    reader.connect()
    reader.page.evaluate(script, "another")
    speech.heard()
    speech.until(lambda: True)
    worker.say(speech.writer, COMPLETED)
    eventually(lambda: reader.seen("done"), what="it has ended")
    assert reader.text == speech.text
    came_again = any("Before the reload," in step["tokens"] for step in reader.seen("steps"))
    assert came_again == (script is REMEMBERING)


@pytest.mark.parametrize("transport", ["auto", "websocket", "long", "short"])
def test_a_worker_that_dies_resets_the_text(
    transport: str, own: Backend, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """After the first attempt is lost, a step has `reset`, and the text is the whole text of the second attempt."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=1)
    job = own.store.view(speech.job_id)
    assert own.store.requeue(speech.job_id, job.attempt, job.enqueues, now_ms())
    worker.answer(speech.job_id, "wholly", " new")
    eventually(lambda: reader.seen("done"), within_s=15, what="it has ended")
    assert reader.text == "wholly new"
    assert sum(step["reset"] for step in reader.seen("steps")) == 1


@pytest.mark.parametrize("transport", ["auto", "websocket"])
def test_a_web_process_that_goes_hands_its_readers_over(
    transport: str, straight_harness: BrowserHarness, reader: Reader, speech: Speech
) -> None:
    """SIGTERM ends streams; clients continue at their cursor with the next process."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True)
    straight_harness.end(signal.SIGTERM)
    straight_harness.begin()
    speech.say(" after")
    speech.heard()
    speech.until(lambda: True)


def test_a_store_that_is_away_is_waited_for(
    straight_harness: BrowserHarness, reader: Reader, speech: Speech, real_client: RedisClient
) -> None:
    """The client retries after 503."""
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True)
    real_client.execute_command("CLIENT", "PAUSE", "2500", "ALL")
    eventually(real_client.ping, within_s=10, what="the store answers again")
    speech.until(lambda: True)
    assert reader.seen("failure") is None
