"""tokentail.js in Chromium, through proxies as people find them at work: each a process of its own."""

import signal

import pytest

from tests.browser.client.conftest import ProxyProcess, Reader, Speech
from tests.browser.house import BrowserHouse
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually

ALL = ("auto", "sse", "websocket", "long", "short")


def finish(speech: Speech, worker: ScriptedWorker, reader: Reader, house: BrowserHouse) -> None:
    """End the job; the page has its text to the letter, straight from the server and its own."""
    worker.say(speech.writer, " end", COMPLETED)
    speech.text += " end"
    eventually(lambda: reader.seen("done"), within_s=15, what="the page knows of the end")
    served = house.web.ask("GET", f"/v1/jobs/{speech.job_id}/text").body.decode()
    assert reader.text == speech.text == served
    assert (reader.seen("done"), reader.seen("failure")) == ("completed", None)
    assert not any(step["reset"] for step in reader.seen("steps"))


@pytest.mark.parametrize("transport", ALL)
def test_through_a_good_proxy_each_transport_reads_it_all(
    transport: str, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Each is what was asked for, and `auto` is a stream."""
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: True, least=3 if transport == "short" else 10)
    assert reader.transport == ("sse" if transport == "auto" else transport)
    finish(speech, worker, reader, straight_house)
    assert reader.seen("moves") == []


def test_behind_a_proxy_that_buffers_it_polls(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A stream whose answer is held back is mute; long polls end, and so they come through."""
    proxy.be(buffers=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20)
    assert reader.seen("moves") == [["long", "the stream is mute"]]
    finish(speech, worker, reader, straight_house)


def test_what_was_learned_holds_for_the_next_job(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Only the first job of a page waits for a mute stream."""
    proxy.be(buffers=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    finish(speech, worker, reader, straight_house)
    next_job = worker.submit()
    reader.page.evaluate("read.text = ''; read.done = null; read.moves = []; read.traffic = {}")
    reader.read(next_job)
    worker.answer(next_job, "at once")
    eventually(lambda: reader.seen("done"), what="it is read")
    assert reader.text == "at once"
    assert reader.seen("moves") == [["long", "learned before"]]
    assert set(reader.seen("traffic")) == {"long"}


def test_a_stream_that_opens_and_never_says_a_byte_is_mute(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """200 is no proof: the server's own first word would come at once."""
    proxy.be(is_mute=True)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    assert reader.seen("moves") == [["long", "the stream is mute"]]
    finish(speech, worker, reader, straight_house)


def test_a_proxy_that_lets_go_is_tried_again(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Beside the polls a stream is opened now and then; when it speaks, it is taken. No token waits for that."""
    proxy.be(is_mute=True)
    reader.connect(timing={"climbMs": 300})
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20)
    proxy.be()
    speech.until(lambda: reader.transport == "sse", most=3000)
    assert reader.seen("moves") == [["long", "the stream is mute"], ["sse", "tried again"]]
    finish(speech, worker, reader, straight_house)


def test_tries_to_move_up_become_rarer(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Where streams stay mute, each try doubles the pause until the next."""
    proxy.be(is_mute=True)
    reader.connect(timing={"climbMs": 100, "muteMs": 100})
    reader.page.evaluate("read.triedAt = []; read.seenTries = 0; window.onstep = noteTries; undefined")
    reader.read(speech.job_id)
    speech.until(lambda: reader.page.evaluate("read.triedAt.length") >= 6, most=3000)
    between = reader.page.evaluate("read.triedAt.slice(1).map((at, i) => at - read.triedAt[i])")
    assert between[-1] > 2 * between[0], between
    assert reader.transport == "long"
    finish(speech, worker, reader, straight_house)


def test_a_stream_that_is_cut_too_often_gives_way_to_polls(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Once is an accident; the third time it is the way that is bad. Nothing is lost at any cut."""
    proxy.be(cut_after_ms=400)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long", least=20, most=2000)
    assert reader.seen("moves") == [["long", "cut too often"]]
    finish(speech, worker, reader, straight_house)


@pytest.mark.parametrize("transport", ["sse", "websocket", "long"])
def test_a_transport_that_was_asked_for_goes_on_after_each_cut(
    transport: str,
    proxy: ProxyProcess,
    straight_house: BrowserHouse,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """Again and again at the same cursor. (A WebSocket that is cut too often gives way to what `auto` does.)"""
    proxy.be(cut_after_ms=400)
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: reader.requests >= 6, least=20, most=2000)
    if transport != "websocket":
        assert reader.transport == transport
        assert reader.seen("moves") == []
    finish(speech, worker, reader, straight_house)


def test_long_polls_that_are_cut_become_shorter(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """Where no request may last 1.5 s, polls ask for less, and come back by themselves."""
    proxy.be(cut_after_ms=1500)
    reader.connect()
    reader.read(speech.job_id, transport="long")
    speech.until(lambda: True)
    steps = len(reader.seen("steps"))
    eventually(lambda: len(reader.seen("steps")) > steps, within_s=10, what="a poll came back with nothing")
    assert reader.seen("steps")[-1]["tokens"] == []
    finish(speech, worker, reader, straight_house)


def test_where_nothing_may_wait_it_polls_without(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """The short poll is what passes everywhere."""
    proxy.be(cut_after_ms=250)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True)
    eventually(lambda: reader.transport == "short", within_s=30, what="it polls without waiting")
    speech.until(lambda: reader.transport == "short")
    assert [name for name, _ in reader.seen("moves")] == ["long", "short"]
    finish(speech, worker, reader, straight_house)


def test_refused_upgrades_make_a_websocket_a_stream(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A browser does not say why a socket did not open; the stream does."""
    proxy.be(takes_no_upgrade=True)
    reader.connect()
    reader.read(speech.job_id, transport="websocket")
    speech.until(lambda: reader.transport == "sse")
    assert reader.seen("moves") == [["sse", "the WebSocket did not open"]]
    finish(speech, worker, reader, straight_house)


def test_a_refused_stream_gives_way_at_once(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A 403 that is not our server's own is the proxy's opinion of streams, not of the job."""
    proxy.be(refuses_streams=True)
    reader.connect(timing={"muteMs": 60000})
    reader.read(speech.job_id)
    speech.until(lambda: reader.transport == "long")
    assert reader.seen("moves") == [["long", "HTTP 403"]]
    assert reader.seen("traffic")["sse"]["requests"] == 1
    finish(speech, worker, reader, straight_house)


def test_a_slow_stream_stays_a_stream(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """A few bytes at a time, through the middle of letters and events: it is neither mute nor cut."""
    proxy.be(bytes_a_tick=60)
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True, least=15)
    finish(speech, worker, reader, straight_house)
    assert reader.transport == "sse"
    assert reader.seen("moves") == []


@pytest.mark.parametrize("transport", ["auto", "long", "short"])
def test_a_502_now_and_then_is_ridden_out(
    transport: str,
    proxy: ProxyProcess,
    straight_house: BrowserHouse,
    reader: Reader,
    speech: Speech,
    worker: ScriptedWorker,
) -> None:
    """Asked again at the same cursor, and the transport stays."""
    proxy.be(fails=2) if transport == "auto" else proxy.be(fails_each=3)
    reader.connect()
    reader.read(speech.job_id, transport=transport)
    speech.until(lambda: transport == "auto" or reader.requests >= 7)
    assert transport != "auto" or reader.requests == 3
    assert reader.transport == ("sse" if transport == "auto" else transport)
    assert reader.seen("moves") == []
    finish(speech, worker, reader, straight_house)


def test_a_web_process_that_is_away_is_waited_for(
    straight_house: BrowserHouse, proxy: ProxyProcess, reader: Reader, speech: Speech, worker: ScriptedWorker
) -> None:
    """While nobody answers every transport fails; when one answers again, it is the stream."""
    reader.connect()
    reader.read(speech.job_id)
    speech.until(lambda: True)
    straight_house.end(signal.SIGKILL)
    speech.say(" written meanwhile")
    eventually(lambda: reader.requests >= 6, within_s=20, what="it has tried")
    straight_house.begin()
    speech.heard(within_s=20)
    speech.until(lambda: reader.transport == "sse", most=2000)
    finish(speech, worker, reader, straight_house)


def test_a_submission_whose_answer_is_lost_makes_one_job(
    proxy: ProxyProcess, straight_house: BrowserHouse, reader: Reader, worker: ScriptedWorker
) -> None:
    """It is sent again with the same Idempotency-Key."""
    reader.connect()
    proxy.be(loses_answers=2)
    job = reader.page.evaluate("tokentail.submit({ prompt: 'once' })")
    assert worker.backend.store.jobs_of("", None, 10) == [job["id"]]
