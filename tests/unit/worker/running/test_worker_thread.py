"""Work aside: what a large request costs is paid by a thread, and what goes wrong there is raised here."""

import json
import threading
from collections.abc import Callable

import gevent
import pytest

from tests.unit.worker.recorded_streams import PlayedAnswer, PlayedTransport
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import parse_request
from worker.chunk import ProviderFailure, provider_failure
from worker.dialects.ollama import Ollama
from worker.running.worker_thread import aside_for
from worker.upstream.seams import Result
from worker.upstream.source import open_chunks

LARGE = 4 << 20


def test_the_work_of_a_small_request_is_done_here() -> None:
    """A thread would cost more than it saves."""
    assert aside_for(1000)(threading.get_ident) == threading.get_ident()


def test_the_work_of_a_large_request_leaves_the_event_loop_to_others() -> None:
    """The greenlet that waits for it is one of many."""
    started, may_end = threading.Event(), threading.Event()
    ticks: list[int] = []

    def tick() -> None:
        for i in range(5):
            ticks.append(i)
            gevent.sleep(0)
        may_end.set()

    def work() -> bool:
        started.set()
        return may_end.wait(10)

    other = gevent.spawn(tick)
    with gevent.Timeout(20):
        assert aside_for(LARGE)(work)
        other.join()
    assert started.is_set()
    assert ticks == [0, 1, 2, 3, 4]


def test_what_work_raises_is_raised_here_and_written_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """Errors may quote a prompt, and gevent would write those of its threads to stderr."""

    def fail() -> None:
        raise provider_failure(FailureKind.REJECTED, "a secret")

    with pytest.raises(ProviderFailure):
        aside_for(LARGE)(fail)
    gevent.sleep(0)
    assert capfd.readouterr().err == ""


class Counting:
    """Does the work here, and counts it."""

    count = 0

    def __call__(self, work: Callable[[], Result], /) -> Result:
        self.count += 1
        return work()


def test_a_provider_s_call_is_made_and_amended_aside() -> None:
    """Both read the whole request."""
    request = parse_request(b'{"prompt": "x", "reasoning_effort": "high"}')
    refusal = PlayedAnswer([b'{"error": "json: cannot unmarshal string into think"}'], status=400)
    answer = PlayedAnswer([json.dumps({"message": {"content": "Hi"}, "done": True}).encode()])
    transport, aside = PlayedTransport(refusal, answer), Counting()
    with open_chunks(Ollama("ollama/*", "http://provider", ""), request, "ollama/m", transport, aside=aside) as lists:
        assert "Hi" in [chunk for chunks in lists for chunk in chunks]
    assert len(transport.calls) == 2
    assert aside.count == 2
