"""The Python client against a real web process, over ways on which much goes wrong."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.buffering_proxy import BufferingProxy
from tests.cutting_relay import CuttingRelay
from tests.free_ports import free_ports
from tests.integration.web_process import WebProcess
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.client import Choice, Client, Update

WITHIN_S = 60.0


class Reader:
    """Follows a job in a thread of its own; its test looks at what it has until now."""

    def __init__(self, port: int, job_id: str, transport: Choice = "auto") -> None:
        self.updates: list[Update] = []
        self.text = ""
        self._pool = ThreadPoolExecutor(1)
        self._read = self._pool.submit(self._follow, port, job_id, transport)

    def _follow(self, port: int, job_id: str, transport: Choice) -> None:
        with Client(f"http://127.0.0.1:{port}") as client:
            for update in client.follow(job_id, transport=transport):
                self.updates.append(update)
                self.text = update.applied_to(self.text)

    def wait_for(self, text: str) -> None:
        eventually(lambda: self.text == text or self._read.done(), within_s=WITHIN_S, what=f"it has read {text!r}")
        assert self.text == text

    def wait_for_end(self) -> None:
        self._read.result(WITHIN_S)
        self._pool.shutdown()
        assert self.updates[-1].is_done

    @property
    def transports(self) -> set[str]:
        return {update.transport for update in self.updates}


@pytest.fixture
def web(valkey_url: str) -> Iterator[WebProcess]:
    (port,) = free_ports(1)
    with WebProcess(valkey_url, TOKENTAIL_LEASE_S="600", TOKENTAIL_PORT=str(port)) as web:
        yield web


@pytest.mark.parametrize("transport", ["sse", "long", "short"])
def test_every_transport_reads_the_job_as_it_is_written(
    web: WebProcess, worker: ScriptedWorker, transport: Choice
) -> None:
    """Each token when it is there; and the text is the log's."""
    job_id = worker.submit()
    reader = Reader(web.port, job_id, transport)
    writer = worker.take(job_id)
    said = ""
    for token in ("one", " two", " three"):
        said += token
        worker.say(writer, token)
        reader.wait_for(said)
    worker.say(writer, COMPLETED)
    reader.wait_for_end()
    assert reader.transports == {transport}
    assert reader.updates[-1].usage is not None


def test_behind_a_proxy_that_gathers_it_polls(web: WebProcess, worker: ScriptedWorker) -> None:
    """The stream is mute; its tokens come by long poll while the job still runs."""
    job_id = worker.submit()
    writer = worker.take(job_id)
    with BufferingProxy(web.port) as proxy:
        reader = Reader(proxy.port, job_id)
        worker.say(writer, "one")
        reader.wait_for("one")
        worker.say(writer, " two")
        reader.wait_for("one two")
        worker.say(writer, COMPLETED)
        reader.wait_for_end()
    assert reader.transports == {"long"}


def test_cuts_and_bad_gateways_lose_nothing(web: WebProcess, worker: ScriptedWorker) -> None:
    """Every connection is cut after half a second, every third is a 502."""
    job_id = worker.submit()
    writer = worker.take(job_id)
    tokens = [f"{n} " for n in range(200)]
    paced = threading.Event()

    def write() -> None:
        for token in tokens:
            worker.say(writer, token)
            paced.wait(0.02)
        worker.say(writer, COMPLETED)

    with CuttingRelay(web.port, cuts_after_s=0.5, bad_every=3) as relay:
        reader = Reader(relay.port, job_id)
        writing = threading.Thread(target=write)
        writing.start()
        reader.wait_for_end()
        writing.join()
        assert relay.cuts >= 3
        assert relay.bad_gateways >= 1
    assert [token for update in reader.updates for token in update.tokens] == tokens
    assert not any(update.is_reset for update in reader.updates)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_another_web_process_goes_on(web: WebProcess, worker: ScriptedWorker, number: signal.Signals) -> None:
    """A web process is away for a while, killed or stopped; the reader goes on at its cursor."""
    job_id = worker.submit()
    writer = worker.take(job_id)
    worker.say(writer, "one")
    reader = Reader(web.port, job_id)
    reader.wait_for("one")
    web.signal(number)
    web.wait(10)
    worker.say(writer, " two")
    web.__exit__(None, None, None)
    web.__enter__()
    reader.wait_for("one two")
    worker.say(writer, COMPLETED)
    reader.wait_for_end()
    assert not any(update.is_reset for update in reader.updates)


def test_a_share_link_is_for_reading(web: WebProcess, valkey_url: str, worker: ScriptedWorker) -> None:
    """A reader with the token of a share link follows the job without a key."""
    with WebProcess(valkey_url, TOKENTAIL_API_KEYS="a-key-of-the-tests", TOKENTAIL_LEASE_S="600") as keyed:
        url = f"http://127.0.0.1:{keyed.port}"
        with Client(url, "a-key-of-the-tests") as owner:
            job = owner.submit("why")
            shared = owner.share(job.id)
        worker.answer(job.id, "because")
        for transport in ("sse", "long", "short"):
            with Client(url, token=shared.token) as reader:
                read = [update.text for update in reader.follow(job.id, transport=transport)]
            assert "".join(read) == "because"
