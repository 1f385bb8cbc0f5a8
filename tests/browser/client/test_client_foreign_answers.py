"""What tokentail.js does when something other than the server answers, and in runtimes that lack what browsers have."""

import pytest

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.client.test_client_proxies import finish
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually

_RECORD = "window.troubles = []; window.onTrouble = why => troubles.push(why ?? null); undefined"
_WITHOUT_BODIES = """(() => {
  const real = window.fetch;
  window.fetch = async (...given) => Object.defineProperty(await real(...given), "body", { value: undefined });
  delete window.TextDecoder;
  delete window.TextEncoder;
  Object.defineProperty(window, "crypto", { value: undefined });
})()"""


@pytest.mark.parametrize("transport", ["auto", "sse", "long", "short"])
@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 500])
def test_an_answer_of_somebody_else_is_an_outage(
    status: int,
    transport: str,
    proxy: ProxyProcess,
    straight_harness: BrowserHarness,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """A login page, a firewall, a proxy whose server restarts: the reader learns of it, and resumes at its cursor."""
    reader.connect()
    reader.page.evaluate(_RECORD)
    proxy.be(fails=3, failure=status)
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=5)
    troubles = reader.page.evaluate("troubles")
    assert f"HTTP {status} from something on the way" in troubles[0] or "redirects" in troubles[0]
    assert troubles[-1] is None  # it is over
    finish(speech, worker, reader, straight_harness)


@pytest.mark.parametrize("transport", ["auto", "long"])
def test_the_json_of_somebody_else_is_an_outage(
    transport: str,
    proxy: ProxyProcess,
    straight_harness: BrowserHarness,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """JSON that looks like a poll's body, of another job, is not read: no token of it is shown, and no end."""
    reader.connect()
    reader.page.evaluate(_RECORD)
    proxy.be(fails=3, failure=200, fails_in_json=True)
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=5)
    assert "HTTP 200 from something on the way" in reader.page.evaluate("troubles[0]")
    finish(speech, worker, reader, straight_harness)


@pytest.mark.parametrize("transport", ["auto", "sse", "websocket", "long", "short"])
def test_what_stays_in_the_way_is_thrown_by_its_name(
    transport: str, proxy: ProxyProcess, reader: Reader, speech: Speech
) -> None:
    """After a bounded time the error says that no Tokentail server refused the job."""
    proxy.be(fails_each=1, failure=403)
    reader.connect(timing={"patienceMs": 1500})
    reader.read(speech.job_id, transport=transport)
    eventually(lambda: reader.seen("failure"), within_s=15, what="the reader gives up")
    failure = reader.seen("failure")
    assert failure["status"] == 403
    assert failure["detail"] == "HTTP 403 from something on the way, not from a Tokentail server."


@pytest.mark.parametrize("transport", ["auto", "long", "short"])
def test_a_runtime_that_gives_whole_bodies_only(
    transport: str, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """React Native's `fetch` has no `body`: polls bring the answer, and `auto` changes to them."""
    reader.page.evaluate(_WITHOUT_BODIES)
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=5)
    finish(speech, worker, reader, straight_harness)
    assert reader.page.evaluate("job => tokentail.text(job)", speech.job_id) == speech.text


def test_a_stream_that_a_runtime_cannot_read_is_no_empty_answer(reader: Reader, speech: Speech) -> None:
    """With `sse` alone the reader gets an error that names the reason."""
    speech.say("a")
    reader.page.evaluate(_WITHOUT_BODIES)
    reader.connect()
    reader.read(speech.job_id, transport="sse")
    eventually(lambda: reader.seen("failure"), what="the reader gives up")
    assert reader.seen("failure")["detail"] == "this runtime cannot read a response as it arrives"


def test_a_submission_without_crypto(reader: Reader, worker: ScriptedWorker) -> None:
    """The idempotency key is random all the same."""
    reader.page.evaluate(_WITHOUT_BODIES)
    worker.beat()
    reader.connect()
    job = reader.page.evaluate("tokentail.submit({ prompt: 'Why?' })")
    assert job["status"] == "queued"
