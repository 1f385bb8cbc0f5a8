"""tokentail.js in Chromium: tabs that are hidden, networks and machines that go away and come back, reloads."""

import signal

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.house import BrowserHouse
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.backend import Backend, now_ms
from tokentail.store import RedisClient

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
    transport: str, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Nobody sees it, so it asks for nothing; when it is shown, all that was missed comes at once."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=2)
    reader.page.evaluate(SHOW, "hidden")
    eventually(lambda: straight_house.web.ask("GET", "/healthz").status == 200, what="the server has seen it go")
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
    """For who wants to ring a bell at the end."""
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
    """It does not wait for its next try: the browser says when."""
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
    """They look open, and nothing will ever come. A clock that has jumped says so sooner than any time-out."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True)
    proxy.be(freezes=True)
    speech.say(" meanwhile")
    reader.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3600e3; }")
    speech.heard(within_s=6)


def test_a_stream_that_falls_silent_is_given_up(proxy: ProxyProcess, reader: Reader, speech: Speech) -> None:
    """Not even a heartbeat came: something holds it back."""
    reader.connect(timing={"silentMs": 1000})
    reader.read(speech.job_id)
    speech.until(lambda: True)
    proxy.be(freezes=True)
    speech.say(" held back")
    speech.heard()
    assert reader.seen("moves") == [["long", "the stream has gone mute"]]


def test_a_websocket_that_falls_silent_is_looked_after(proxy: ProxyProcess, reader: Reader, speech: Speech) -> None:
    """A browser shows no pings; a poll shows whether anything is held back, and then it is given up."""
    reader.connect(timing={"silentMs": 1000})
    reader.read(speech.job_id, transport="websocket")
    speech.until(lambda: True)
    eventually(lambda: reader.transport == "short", what="it has looked, and there was nothing")
    speech.until(lambda: True)
    assert (reader.transport, reader.seen("moves")) == ("websocket", [])
    proxy.be(freezes=True)
    speech.say(" held back")
    speech.heard()
    assert reader.seen("moves") == [["sse", "the WebSocket is mute"]]
    speech.until(lambda: reader.transport == "sse")


@pytest.mark.parametrize("transport", ["auto", "websocket", "long", "short"])
def test_abort_ends_it_at_once(transport: str, reader: Reader, speech: Speech) -> None:
    """In the middle of a wait, with the error that fetch would give; and nothing is asked any more."""
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
    """The job in the page's address is read again from its start; with text and cursor kept, only the rest is."""
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
    """Another begins anew; the step says so, and the text is the new one, whole."""
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
    transport: str, straight_house: BrowserHouse, reader: Reader, speech: Speech
) -> None:
    """SIGTERM ends streams; the next process continues them, at their cursor."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True)
    straight_house.end(signal.SIGTERM)
    straight_house.begin()
    speech.say(" after")
    speech.heard()
    speech.until(lambda: True)


def test_a_store_that_is_away_is_waited_for(
    straight_house: BrowserHouse, reader: Reader, speech: Speech, real_client: RedisClient
) -> None:
    """503 is no reason to give up."""
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True)
    real_client.execute_command("CLIENT", "PAUSE", "2500", "ALL")
    eventually(real_client.ping, within_s=10, what="the store answers again")
    speech.until(lambda: True)
    assert reader.seen("failure") is None
