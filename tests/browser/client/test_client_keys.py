"""tokentail.js in Chromium: keys, sessions, read tokens, and errors that no retry would change."""

from collections.abc import Callable

import pytest

from tests.browser.client.conftest import Reader
from tests.browser.conftest import KEY
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually

OpenReader = Callable[[str], Reader]
ALL = ("auto", "sse", "websocket", "long", "short")


@pytest.fixture
def reader(open_reader: OpenReader, locked_harness: BrowserHarness) -> Reader:
    """A page of a server that requires a key."""
    return open_reader(locked_harness.url)


def submitted(reader: Reader) -> str:
    job: dict[str, str] = reader.page.evaluate("tokentail.submit({ prompt: 'why' })")
    return job["id"]


def fails(reader: Reader, call: str) -> dict[str, object]:
    """The error of a call."""
    told: dict[str, object] = reader.page.evaluate(
        f"{call}.then(() => null, ({{ name, status, type, detail }}) => ({{ name, status, type, detail }}))"
    )
    return told


@pytest.mark.parametrize("transport", ALL)
def test_a_key_goes_along_with_each_request(transport: str, reader: Reader, worker: ScriptedWorker) -> None:
    """A WebSocket cannot send a key, so the client uses a stream."""
    reader.connect(key=KEY)
    job_id = submitted(reader)
    reader.read(job_id, transport=transport)
    worker.answer(job_id, "one", " two")
    eventually(lambda: reader.seen("done"), within_s=15, what="it is read")
    assert reader.text == "one two"
    assert reader.seen("moves") == ([["sse", "a WebSocket cannot send a key"]] if transport == "websocket" else [])


@pytest.mark.parametrize("transport", ALL)
def test_a_session_takes_the_keys_place(transport: str, reader: Reader, worker: ScriptedWorker) -> None:
    """After `openSession` the page has no key, and even a WebSocket is accepted."""
    reader.connect()
    reader.page.evaluate("key => tokentail.openSession(key)", KEY)
    job_id = submitted(reader)
    reader.read(job_id, transport=transport)
    worker.answer(job_id, "one", " two")
    eventually(lambda: reader.seen("done"), within_s=15, what="it is read")
    assert (reader.text, reader.seen("moves")) == ("one two", [])
    reader.page.evaluate("tokentail.closeSession()")
    assert fails(reader, "tokentail.jobs()")["status"] == 401


@pytest.mark.parametrize("transport", ALL)
def test_a_share_link_reads_one_job_and_no_more(
    transport: str, locked_harness: BrowserHarness, open_reader: OpenReader, reader: Reader, worker: ScriptedWorker
) -> None:
    """A share link's token reads its job by every transport, and cannot cancel it."""
    reader.connect(key=KEY)
    job_id = submitted(reader)
    link = reader.page.evaluate("job => tokentail.share(job)", job_id)["link"]
    guest = open_reader(locked_harness.url)
    guest.page.goto(f"{locked_harness.url}/tokentail.js{link.removeprefix('/')}")
    recalled = guest.page.evaluate("import('/tokentail.js').then(({ recall }) => recall())")
    assert recalled["job"] == job_id
    guest.connect(token=recalled["token"])
    guest.read(job_id, transport=transport)
    worker.answer(job_id, "one", " two")
    eventually(lambda: guest.seen("done"), within_s=15, what="it is read")
    assert (guest.text, guest.seen("moves")) == ("one two", [])
    assert fails(guest, f"tokentail.cancel('{job_id}')")["status"] == 403
    assert fails(guest, "tokentail.jobs()")["status"] == 403


@pytest.mark.parametrize("transport", ["auto", "long", "short"])
def test_what_no_try_would_change_is_thrown(transport: str, reader: Reader, worker: ScriptedWorker) -> None:
    """A wrong key, an unknown job, a deleted job and a made-up cursor each end `follow` with an error."""
    reader.connect(key="wrong")
    reader.read("a" * 26, transport=transport)
    eventually(lambda: reader.seen("failure"), what="it has given up")
    assert (reader.seen("failure")["name"], reader.seen("failure")["status"]) == ("TokentailError", 401)
    reader.connect(key=KEY)
    job_id = submitted(reader)
    for job, options, status in (("a" * 26, {}, 404), (job_id, {"cursor": "?"}, 400)):
        reader.page.evaluate("read.failure = null")
        reader.read(job, transport=transport, **options)
        eventually(lambda: reader.seen("failure"), what="it has given up")
        assert reader.seen("failure")["status"] == status
    reader.page.evaluate("job => tokentail.delete(job)", job_id)
    reader.page.evaluate("read.failure = null")
    reader.read(job_id, transport=transport)
    eventually(lambda: reader.seen("failure"), what="it has given up")
    assert reader.seen("failure")["type"] == "urn:tokentail:problem:job-gone"
    assert reader.seen("moves") == []


def test_the_other_calls_answer(reader: Reader, worker: ScriptedWorker) -> None:
    """The client reads views, lists, texts and models, and cancels."""
    reader.connect(key=KEY)
    job_id = submitted(reader)
    worker.say(worker.take(job_id), "so far")
    assert reader.page.evaluate("job => tokentail.job(job)", job_id)["status"] == "running"
    assert reader.page.evaluate("job => tokentail.text(job)", job_id) == "so far"
    assert [job["id"] for job in reader.page.evaluate("tokentail.jobs({ limit: 1 })")["jobs"]] == [job_id]
    assert reader.page.evaluate("tokentail.models()")["data"][0]["id"] == "demo"
    assert reader.page.evaluate("job => tokentail.cancel(job)", job_id)["status"] == "cancelled"
    refused = fails(reader, "tokentail.submit({ promt: 'why' })")
    assert (refused["status"], "promt" in str(refused["detail"])) == (422, True)


def test_a_users_jobs_are_found_and_erased(reader: Reader, worker: ScriptedWorker) -> None:
    """The client lists by what is asked, reads what was asked, and erases to the end."""
    reader.connect(key=KEY)
    ask = "user => tokentail.submit({ prompt: 'why', model: 'demo', user, metadata: { chat: '1' } })"
    ann, bob = (reader.page.evaluate(ask, user)["id"] for user in ("ann", "bob"))
    listed = reader.page.evaluate("tokentail.jobs({ user: 'ann', metadata: { chat: '1' }, since: '1h' })")
    assert [job["id"] for job in listed["jobs"]] == [ann]
    assert reader.page.evaluate("job => tokentail.request(job)", ann)["prompt"] == "why"
    assert reader.page.evaluate("tokentail.deleteUser('ann')") == {"deleted": 1, "cancelled": 1}
    assert fails(reader, f"tokentail.request('{ann}')")["status"] == 410
    assert reader.page.evaluate("job => tokentail.job(job)", bob)["user"] == "bob"


def test_a_client_that_is_shown_does_not_show_its_key(reader: Reader) -> None:
    """The client's JSON and its properties do not contain the key."""
    shown = reader.page.evaluate(
        """async key => {
          const { Tokentail } = await import("/tokentail.js");
          const one = new Tokentail({ key, token: key });
          return JSON.stringify(one) + Object.values(one).map(String).join();
        }""",
        KEY,
    )
    assert KEY not in shown
