"""What tokentail.js does behind proxies that take a request and never answer it, as some of Node's do."""

import pytest

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.client.test_client_proxies import finish
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually


@pytest.mark.parametrize("transport", ["long", "short"])
def test_a_poll_that_is_never_answered_is_sent_once_more(
    transport: str,
    proxy: ProxyProcess,
    straight_harness: BrowserHarness,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """The client gives the poll up soon after its wait is over, and the next one brings every token."""
    proxy.be(never_answers="/tokens")
    reader.connect(timing={"waitMs": 1000, "lateMs": 300})
    speech.say("first")
    reader.read(speech.job_id, transport=transport)
    eventually(lambda: reader.requests >= 2, within_s=20, what="the poll is given up")
    proxy.be()
    speech.heard(within_s=20)
    finish(speech, worker, reader, straight_harness)


def test_a_websocket_that_is_never_answered_gives_way(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A handshake that is neither accepted nor refused counts as a WebSocket that does not open."""
    proxy.be(never_answers="/ws")
    reader.connect(timing={"openMs": 300})
    reader.read(speech.job_id, transport="websocket")
    speech.until(lambda: reader.transport == "sse")
    assert reader.seen("moves") == [["sse", "the WebSocket did not open"]]
    finish(speech, worker, reader, straight_harness)
