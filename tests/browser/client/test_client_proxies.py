"""tokentail.js in Chromium, through proxies like those in company networks; each is a process of its own."""

import signal

import pytest

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually

ALL = ("auto", "sse", "websocket", "long", "short")


def finish(speech: Speech, worker: ScriptedWorker, reader: Reader, harness: BrowserHarness) -> None:
    """End the job; the text that the page has is exactly the server's."""
    worker.say(speech.writer, " end", COMPLETED)
    speech.text += " end"
    eventually(lambda: reader.seen("done"), within_s=15, what="the page knows of the end")
    served = harness.web.ask("GET", f"/v1/jobs/{speech.job_id}/text").body.decode()
    assert reader.text == speech.text == served
    assert (reader.seen("done"), reader.seen("failure")) == ("completed", None)
    assert not any(step["reset"] for step in reader.seen("steps"))


@pytest.mark.parametrize("transport", ALL)
def test_through_a_good_proxy_each_transport_reads_it_all(
    transport: str, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Each option uses its transport, and `auto` uses a stream."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=3 if transport == "short" else 10)
    assert reader.transport == ("sse" if transport == "auto" else transport)
    finish(speech, worker, reader, straight_harness)
    assert reader.seen("moves") == []


def test_behind_a_proxy_that_buffers_it_polls(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A stream is mute when a proxy buffers its response; long polls end, so they get through."""
    proxy.be(buffers=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20)
    assert reader.seen("moves") == [["long", "the stream is mute"]]
    finish(speech, worker, reader, straight_harness)


def test_what_was_learned_holds_for_the_next_job(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Only the first job of a page waits for a mute stream."""
    proxy.be(buffers=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    finish(speech, worker, reader, straight_harness)
    next_job = worker.submit()
    reader.page.evaluate("read.text = ''; read.done = null; read.moves = []; read.traffic = {}")
    reader.read(next_job)
    worker.answer(next_job, "at once")
    eventually(lambda: reader.seen("done"), what="it is read")
    assert reader.text == "at once"
    assert reader.seen("moves") == [["long", "learned before"]]
    assert set(reader.seen("traffic")) == {"long"}


def test_a_stream_that_opens_and_never_says_a_byte_is_mute(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A status of 200 does not prove that a stream works: the server's first event must arrive at once."""
    proxy.be(is_mute=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    assert reader.seen("moves") == [["long", "the stream is mute"]]
    finish(speech, worker, reader, straight_harness)


def test_a_proxy_that_lets_go_is_tried_again(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """From time to time a stream is opened beside the polls and replaces them if it works. No token waits for that."""
    proxy.be(is_mute=True, takes_no_upgrade=True)
    reader.connect(timing={"climbMs": 300})
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20)
    proxy.be(takes_no_upgrade=True)
    speech.until(lambda: reader.transport == "sse", most=3000)
    assert reader.seen("moves") == [["long", "the stream is mute"], ["sse", "tried again"]]
    finish(speech, worker, reader, straight_harness)


def test_where_streams_are_held_and_sockets_pass_a_socket_takes_over(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """`auto` tries a WebSocket beside the polls; no token waits for that."""
    proxy.be(is_mute=True)
    reader.connect(timing={"climbMs": 300})
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "websocket", most=3000)
    assert reader.seen("moves") == [["long", "the stream is mute"], ["websocket", "tried again"]]
    finish(speech, worker, reader, straight_harness)


def test_the_first_token_does_not_wait_for_a_mute_stream(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A long poll runs beside a stream that brings nothing: the token is there long before the stream is given up."""
    proxy.be(buffers=True)
    speech.say("first")
    reader.connect(timing={"muteMs": 60000})
    reader.read(speech.job_id)
    speech.heard(within_s=5)
    assert [step["transport"] for step in reader.seen("steps")] == ["long"]
    finish(speech, worker, reader, straight_harness)


def test_what_was_learned_outlives_the_page(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A reload does not begin with the stream that is mute here."""
    proxy.be(buffers=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    reader.page.reload()
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    assert reader.seen("moves") == [["long", "learned before"]]
    assert "sse" not in reader.seen("traffic")
    finish(speech, worker, reader, straight_harness)


def test_tries_to_move_up_become_rarer(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """While streams stay mute, each try doubles the time until the next one."""
    proxy.be(is_mute=True, takes_no_upgrade=True)
    reader.connect(timing={"climbMs": 100, "muteMs": 100})
    reader.page.evaluate("read.triedAt = []; read.seenTries = 0; window.onstep = noteTries; undefined")
    reader.read(speech.job_id)
    speech.until(lambda: reader.page.evaluate("read.triedAt.length") >= 6, most=3000)
    between = reader.page.evaluate("read.triedAt.slice(1).map((at, i) => at - read.triedAt[i])")
    assert between[-1] > 2 * between[0], between
    assert reader.transport == "long"
    finish(speech, worker, reader, straight_harness)


def test_a_stream_that_is_cut_too_often_gives_way_to_polls(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """The third cut in a row makes the client poll; no cut loses a token."""
    proxy.be(cut_after_ms=400)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20, most=2000)
    assert reader.seen("moves") == [["long", "cut too often"]]
    finish(speech, worker, reader, straight_harness)


@pytest.mark.parametrize("transport", ["sse", "websocket", "long"])
def test_a_transport_that_was_asked_for_goes_on_after_each_cut(
    transport: str,
    proxy: ProxyProcess,
    straight_harness: BrowserHarness,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """A transport chosen by name is reopened at the cursor after each cut. (A WebSocket is replaced as by `auto`.)"""
    proxy.be(cut_after_ms=400)
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: reader.requests >= 6, least=20, most=2000)
    if transport != "websocket":
        assert reader.transport == transport
        assert reader.seen("moves") == []
    finish(speech, worker, reader, straight_harness)


def test_long_polls_that_are_cut_become_shorter(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """If a proxy cuts requests after 1.5 s, long polls wait less, and end before the cut."""
    proxy.be(cut_after_ms=1500)
    reader.connect()
    reader.read(speech.job_id, transport="long")
    speech.until(lambda: True)
    steps = len(reader.seen("steps"))
    eventually(lambda: len(reader.seen("steps")) > steps, within_s=10, what="a poll came back with nothing")
    assert reader.seen("steps")[-1]["tokens"] == []
    finish(speech, worker, reader, straight_harness)


def test_where_nothing_may_wait_it_polls_without(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Where every waiting request is cut, the client uses short polls."""
    proxy.be(cut_after_ms=250)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True)
    eventually(lambda: reader.transport == "short", within_s=30, what="it polls without waiting")
    speech.until(lambda: reader.transport == "short")
    assert [name for name, _ in reader.seen("moves")] == ["long", "short"]
    finish(speech, worker, reader, straight_harness)


def test_refused_upgrades_make_a_websocket_a_stream(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A WebSocket that cannot be opened is replaced by a stream, because browsers hide why it failed."""
    proxy.be(takes_no_upgrade=True)
    reader.connect()
    reader.read(speech.job_id, transport="websocket")
    speech.until(lambda: reader.transport == "sse")
    assert reader.seen("moves") == [["sse", "the WebSocket did not open"]]
    finish(speech, worker, reader, straight_harness)


def test_a_refused_stream_gives_way_at_once(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A proxy's 403 refuses streams, not the job, so the client polls."""
    proxy.be(refuses_streams=True)
    reader.connect(timing={"muteMs": 60000})
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    (move,) = reader.seen("moves")
    assert move == ["long", "HTTP 403 from something on the way, not from a Tokentail server."]
    assert reader.seen("traffic")["sse"]["requests"] == 1
    finish(speech, worker, reader, straight_harness)


def test_a_slow_stream_stays_a_stream(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A stream that arrives a few bytes at a time, cut within letters and events, is neither mute nor cut."""
    proxy.be(bytes_a_tick=60)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True, least=15)
    finish(speech, worker, reader, straight_harness)
    assert reader.transport == "sse"
    assert reader.seen("moves") == []


@pytest.mark.parametrize("transport", ["auto", "long", "short"])
def test_a_502_now_and_then_is_ridden_out(
    transport: str,
    proxy: ProxyProcess,
    straight_harness: BrowserHarness,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """After bad gateways the client requests again at the same cursor, by the same transport."""
    proxy.be(fails=2) if transport == "auto" else proxy.be(fails_each=3)
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: transport == "auto" or reader.requests >= 7)
    assert transport != "auto" or reader.requests == 3
    assert reader.transport == ("sse" if transport == "auto" else transport)
    assert reader.seen("moves") == []
    finish(speech, worker, reader, straight_harness)


def test_a_web_process_that_is_away_is_waited_for(
    straight_harness: BrowserHarness, proxy: ProxyProcess, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """While the server is away every transport fails; when it is back, the client uses a stream again."""
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True)
    straight_harness.end(signal.SIGKILL)
    speech.say(" written meanwhile")
    eventually(lambda: reader.requests >= 6, within_s=20, what="it has tried")
    straight_harness.begin()
    speech.heard(within_s=20)
    speech.until(lambda: reader.transport == "sse", most=2000)
    finish(speech, worker, reader, straight_harness)


def test_a_submission_whose_answer_is_lost_makes_one_job(
    proxy: ProxyProcess, straight_harness: BrowserHarness, reader: Reader, worker: ScriptedWorker
) -> None:
    """A submission whose response was lost is repeated with the same Idempotency-Key."""
    reader.connect()
    proxy.be(loses_answers=2)
    job = reader.page.evaluate("tokentail.submit({ prompt: 'once' })")
    assert worker.backend.store.jobs_of("", None, 10) == [job["id"]]
