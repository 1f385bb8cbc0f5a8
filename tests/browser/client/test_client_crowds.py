"""tokentail.js in Chromium: many answers in one page share a long poll, and each is read as if it were alone."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route

from tests.browser.client.answers import ALONE, SHARED, Answers
from tests.browser.client.conftest import ProxyProcess, Reader
from tests.browser.client.test_client_interruptions import SHOW
from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.log.element import Reasoning
from tokentail.redis.backend import Backend, now_ms


@pytest.mark.parametrize("transport", ["auto", "long"])
def test_seven_answers_leave_room_for_an_eighth_request(
    transport: str, straight_harness: BrowserHarness, open_reader: Callable[[str], Reader], worker: ScriptedWorker
) -> None:
    """Seven silent jobs would hold all six connections of a browser; they share one, and the last one reads alone."""
    reader = open_reader(straight_harness.url)
    reader.connect()
    answers = Answers(worker, reader, 7)
    answers.read(transport=transport)
    answers.share()
    assert reader.page.evaluate("fetch('/healthz', { signal: AbortSignal.timeout(10000) }).then(({ ok }) => ok)")
    answers.speak()
    answers.are("long")
    *first, last = answers.jobs
    answers.end(*first)
    if transport == "auto":
        eventually(lambda: answers.seen("moves")[last] == [SHARED, ALONE], within_s=15, what="alone again")
        answers.are("sse", last)
    answers.end(last)
    assert set(answers.seen("failure").values()) == {None}
    assert set(answers.seen("resets").values()) == {0}


def test_two_answers_have_a_stream_each(reader: Reader, worker: ScriptedWorker) -> None:
    """Two streams are no load, and bring each token at once; the third follower makes all of them share."""
    reader.connect()
    answers = Answers(worker, reader, 3)
    *pair, third = answers.jobs
    answers.read(pair)
    answers.are("sse", *pair)
    assert answers.polls == []
    answers.read([third])
    answers.share()
    answers.are("long")
    assert list(answers.seen("moves").values()) == [[SHARED]] * 3


def test_failures_lose_and_repeat_nothing(proxy: ProxyProcess, reader: Reader, worker: ScriptedWorker) -> None:
    """Every third request fails, then answers are lost on their way: each text is whole, and nothing is said twice."""
    reader.connect()
    answers = Answers(worker, reader, 4)
    proxy.be(fails_each=3)
    answers.read(transport="long")
    answers.speak(rounds=5)
    proxy.be(loses_answers=3)
    answers.speak(rounds=2)
    proxy.be()
    answers.speak(rounds=1)
    answers.end(*answers.jobs)
    assert any(len(jobs) == 4 for jobs in answers.polls)


def test_hidden_tabs_poll_nothing_and_catch_up(
    straight_harness: BrowserHarness, reader: Reader, worker: ScriptedWorker
) -> None:
    """A hidden tab's poll for many ends, and all of its jobs are caught up when it is visible."""
    reader.connect()
    answers = Answers(worker, reader, 4)
    answers.read()
    answers.speak(rounds=1)
    reader.page.evaluate(SHOW, "hidden")
    eventually(lambda: straight_harness.web.ask("GET", "/healthz").status == 200, what="the server has seen it go")
    asked = len(answers.asked)
    for job_id in answers.jobs:
        answers.say(job_id, " hidden")
    assert reader.page.evaluate("document.visibilityState") == "hidden"
    assert len(answers.asked) == asked
    reader.page.evaluate(SHOW, "visible")
    answers.heard()
    answers.are("long")


def test_the_trouble_of_one_is_not_the_others(own: Backend, reader: Reader, worker: ScriptedWorker) -> None:
    """A job begun anew is reset, a deleted one is 410, a wrong cursor is 400; the others go on by one poll."""
    reader.connect()
    answers = Answers(worker, reader, 5)
    answers.read()
    answers.speak()
    lost, deleted, *others = answers.jobs
    job = own.store.view(lost)
    assert own.store.requeue(lost, job.attempt, job.enqueues, now_ms())
    answers.writers[lost], answers.texts[lost] = worker.take(lost), ""
    answers.say(lost, "anew")
    reader.page.evaluate("job => tokentail.delete(job)", deleted)
    reader.page.evaluate("([job]) => { readMany([job], { cursor: 'no cursor' }) }", [worker.submit()])
    eventually(lambda: set(answers.seen("failure").values()) == {None, 400, 410}, what="both errors are thrown")
    answers.heard(lost, *others)
    answers.are("long", lost, *others)
    assert answers.seen("resets")[lost] == 1
    assert answers.seen("failure")[deleted] == 410


def test_events_and_tokens_share_a_poll(reader: Reader, worker: ScriptedWorker) -> None:
    """A follower of events sees all that is in the log, its neighbour tokens alone, by the same requests."""
    reader.connect()
    answers = Answers(worker, reader, 4)
    typed, *plain = answers.jobs
    answers.read([typed], events=True)
    answers.read(plain)
    answers.share()
    for job_id in (typed, plain[0]):
        worker.say(answers.writers[job_id], Reasoning("hm"))
    answers.are("long")
    assert answers.seen("events") == {typed: ["start", "reasoning"], **{job_id: [] for job_id in plain}}


def test_a_page_that_stops_taking_an_answer_catches_up(reader: Reader, worker: ScriptedWorker) -> None:
    """An answer that the page does not take is left out of the poll until the page takes it again, and then whole."""
    reader.connect()
    answers = Answers(worker, reader, 3)
    held, *others = answers.jobs
    answers.read()
    answers.share()
    reader.page.evaluate(
        "job => { window.holding = { [job]: new Promise((resolve) => (window.goOn = resolve)) } }", held
    )
    for number in range(20):  # more than one reader's queue holds; each is a request of its own
        for job_id in answers.jobs:
            answers.say(job_id, f" w{number}")
        answers.heard(*others)
    answers.wait("20", *others)
    reader.page.evaluate("goOn()")
    answers.heard(held)


def test_a_refused_poll_of_many_means_a_stream_each(reader: Reader, worker: ScriptedWorker) -> None:
    """Where credentials open single jobs alone, such as those of one user, followers read by themselves."""
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        problem = {"type": "urn:tokentail:problem:forbidden", "status": 403, "title": "No", "detail": "No."}
        route.fulfill(status=403, json=problem, content_type="application/problem+json")

    reader.page.route(re.compile("/v1/poll"), refuse)
    reader.connect()
    answers = Answers(worker, reader, 4)
    answers.read()
    eventually(lambda: answers.seen("moves") and refused, within_s=15, what="a poll of many was tried")
    answers.are("sse")
    answers.end(*answers.jobs)
    assert len(refused) <= 2  # one may be under way while another follower joins


def test_only_equal_credentials_share(
    open_reader: Callable[[str], Reader], locked_harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """Followers by a key and by a session share nothing; two clients with the same key do."""
    reader = open_reader(locked_harness.url)
    reader.connect(key=KEY)
    answers = Answers(worker, reader, 0)
    make = """async key => {
      const { Tokentail } = await import("/tokentail.js");
      [window.same, window.cookied] = [new Tokentail({ key }), new Tokentail()];
      await cookied.openSession(key);
    }"""
    reader.page.evaluate(make, KEY)
    submit = "() => Promise.all([0, 0, 0, 0].map(() => tokentail.submit({ prompt: 'why' }).then(({ id }) => id)))"
    keyed, other, cookied, late = reader.page.evaluate(submit)
    for jobs, client in ([keyed], "tokentail"), ([other], "same"), ([cookied], "cookied"):
        reader.page.evaluate(f"jobs => {{ readMany(jobs, {{}}, {client}) }}", jobs)
    for job_id in (keyed, other, cookied):
        worker.say(worker.take(job_id), "one")
    eventually(lambda: reader.page.evaluate("Object.values(many).every(({ text }) => text === 'one')"), what="all")
    assert answers.polls == []
    reader.page.evaluate("jobs => { readMany(jobs, {}, same) }", [late])
    answers.share(keyed, other, late)
