"""The clients of Durable Streams for Python and JavaScript, unmodified, on the two streams of a job."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import durable_streams
import pytest

from tests.contract.durable_reads import FAILED
from tests.http_harness import HttpHarness, open_harness
from tests.loopback import LoopThread
from tests.npm import npm
from tests.others import node_argv
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient

JAVASCRIPT = "@durable-streams/client@0.2.7"
PROGRAM = Path(__file__).with_name("durable_client.mjs")


@dataclass(frozen=True)
class Case:
    """One read. `live` is as both clients name it."""

    url: str
    live: bool | str
    kind: str = "text"
    offset: str = "-1"


@dataclass(frozen=True)
class Seen:
    """What a read gave, where it stopped, and with which error."""

    seen: list[Any]
    offset: str | None
    error: str | None
    status: int | None
    is_closed: bool  # as the client knows it

    @property
    def text(self) -> str:
        return "".join(self.seen)


Client = Callable[[list[Case]], list[Seen]]


def python_client(cases: list[Case]) -> list[Seen]:
    with ThreadPoolExecutor(len(cases)) as threads:
        return list(threads.map(_read, cases))


def _read(case: Case) -> Seen:
    seen: list[Any] = []
    offset, is_closed = None, False
    try:
        with durable_streams.stream(case.url, offset=case.offset, live=case.live, timeout=30) as answer:  # type: ignore[arg-type]
            try:
                for piece in answer.iter_json() if case.kind == "events" else answer.iter_text():
                    seen.append(piece)
            finally:
                offset, is_closed = answer.offset, answer.headers.get("stream-closed") == "true"
    except Exception as error:
        return Seen(seen, offset, type(error).__name__, getattr(error, "status", None), is_closed)
    return Seen(seen, offset, None, None, is_closed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that has installed the client."""
    folder = tmp_path_factory.mktemp("durable")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm("install", JAVASCRIPT, "--ignore-scripts", cwd=folder)
    (folder / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    return folder


@pytest.fixture(params=["python", "javascript"])
def client(request: pytest.FixtureRequest) -> Client:
    if request.param == "python":
        return python_client
    folder = request.getfixturevalue("folder")

    def javascript_client(cases: list[Case]) -> list[Seen]:
        argv = [*node_argv(folder / PROGRAM.name), json.dumps([asdict(case) for case in cases])]
        ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return [Seen(**each) for each in json.loads(ran.stdout)]

    return javascript_client


@pytest.fixture
def harness(real_client: RedisClient, valkey_url: str) -> Iterator[HttpHarness]:
    with LoopThread() as loop_thread:
        harness = open_harness(wire(real_client, real_client, load_settings({})), loop_thread, valkey_url)
        yield harness
        harness.close()


class Job:
    """A job that a test's worker answers."""

    def __init__(self, harness: HttpHarness) -> None:
        assert harness.plane is not None
        self._harness = harness
        self.id = harness.submitted()
        self.writer: LogWriter = harness.worker.take(self.id)
        self._url = f"http://127.0.0.1:{harness.plane.port}/v1/jobs/{self.id}/durable"

    def say(self, *elements: Any) -> "Job":
        self._harness.worker.say(self.writer, *elements)
        return self

    def begin_again(self) -> "Job":
        self.writer.start("second", "demo", "demo")
        self._harness.worker.drain(self.writer)
        return self

    def case(self, live: bool | str, kind: str = "text", offset: str = "-1") -> Case:
        return Case(f"{self._url}/{kind}", live, kind, offset)


def while_waiting(harness: HttpHarness, client: Client, cases: list[Case], speak: Callable[[], object]) -> list[Seen]:
    """What the client reads of these while the workers speak, once every read waits."""
    with ThreadPoolExecutor(1) as threads:
        reading: Future[list[Seen]] = threads.submit(client, cases)
        try:
            eventually(lambda: harness.waits() == len(cases), within_s=30, what="every read waits")
            speak()
            return reading.result(60)
        finally:
            harness.end_waits()


def test_what_has_ended_is_read_whole_or_with_an_error(harness: HttpHarness, client: Client) -> None:
    """Once and live. A failed job's text comes before its error. An offset of a lost answer gives nothing else."""
    whole = Job(harness).say(" Hel", "lo\n", "🙂", COMPLETED)
    failed = Job(harness).say("ha", "lf", FAILED)
    anew = Job(harness).say("old")
    (lost,) = client([anew.case(live=False)])
    anew.begin_again().say("new", COMPLETED)
    again = [whole.case(live) for live in (False, "sse")]
    ended = client(
        [
            *again,
            whole.case("sse", "events"),
            *(failed.case(live) for live in (False, "long-poll", "sse")),
            failed.case("sse", "events"),
            *(anew.case(live, offset=str(lost.offset)) for live in (False, "sse")),
            anew.case("sse"),
        ]
    )
    assert [(seen.text, seen.error) for seen in ended[:2]] == [(" Hello\n🙂", None)] * 2
    assert ended[0].is_closed
    assert (ended[2].seen[1:-1], ended[2].error) == ([" Hel", "lo\n", "🙂"], None)
    assert [seen.text for seen in ended[3:6]] == ["half"] * 3
    assert not ended[3].is_closed, "all that the JavaScript client knows when it has read once"
    assert ended[4].status == 409
    assert ended[5].error
    assert (ended[6].seen[-1]["status"], ended[6].error) == ("failed", None)
    assert lost.text == "old"
    assert [(seen.seen, seen.status) for seen in ended[7:9]] == [([], 410)] * 2
    assert (ended[9].text, ended[9].error) == ("new", None)


def test_what_comes_is_read_to_the_end(harness: HttpHarness, client: Client) -> None:
    """The last text is never lost, though it comes in one read with the end."""
    text, events = Job(harness).say("a"), Job(harness).say("a")

    def speak() -> None:
        for job in (text, events):
            job.say(*"bcde")
            job.say("f", COMPLETED)

    seen = while_waiting(harness, client, [text.case("sse"), events.case("sse", "events")], speak)
    assert (seen[0].text, seen[0].error) == ("abcdef", None)
    assert ([each for each in seen[1].seen if isinstance(each, str)], seen[1].error) == (list("abcdef"), None)
    assert seen[1].seen[-1]["status"] == "completed"


def test_a_stream_that_breaks_off_is_an_error(harness: HttpHarness, client: Client) -> None:
    """At a reset, nothing of the new answer is shown. Where the job fails, all of the text came before the error."""
    anew, failed = Job(harness).say("old"), Job(harness).say("ha")
    poll = Job(harness).say("old")

    def speak() -> None:
        anew.begin_again().say("new", COMPLETED)
        failed.say("lf")
        failed.say(FAILED)
        poll.begin_again().say("new", COMPLETED)

    cases = [anew.case("sse"), failed.case("sse"), poll.case("long-poll")]
    reset, cut, polled = while_waiting(harness, client, cases, speak)
    assert reset.text == polled.text == "old"
    assert cut.text == "half"
    assert reset.error
    assert cut.error
    assert polled.status == 410
    again = client([anew.case("sse", offset=str(reset.offset)), failed.case("sse", offset=str(cut.offset))])
    assert [seen.status for seen in again] == [410, 409]
