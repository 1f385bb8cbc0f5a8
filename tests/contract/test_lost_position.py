"""A kept answer that is gone at the provider: a new one is asked for, whatever the number of retries."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from tests.conftest import MakeBackend
from tests.contract.runner_harness import RunnerHarness, whole
from tests.unit.worker.recorded_streams import PlayedAnswer, PlayedTransport, recorded
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import now_ms
from worker.dialects.openai.responses import OpenAiResponses
from worker.meters import NoMeters

BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours", is_background=True)
CREATED = b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_2"}}\n\n'
ANSWER, _ = recorded("text", "openai_responses")


class _Counted(NoMeters):
    """Counts what the runner says of failed calls."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.retried = 0

    def call_failed(self, provider: str, kind: str) -> None:
        self.failed.append(kind)

    def call_retried(self, provider: str) -> None:
        self.retried += 1


Interrupted = Callable[[PlayedTransport, str], tuple[RunnerHarness, str, _Counted]]


@pytest.fixture
def interrupted(make_backend: MakeBackend) -> Iterator[Interrupted]:
    """`interrupted(transport, retries)`: a runner, and a job whose first attempt was interrupted in mid-answer."""
    harnesses: list[RunnerHarness] = []

    def make(transport: PlayedTransport, retries: str) -> tuple[RunnerHarness, str, _Counted]:
        counted = _Counted()
        settings = {"TOKENTAIL_RETRIES": retries}
        harness = RunnerHarness(make_backend(**settings), whole, counted, (BACKGROUND, transport), **settings)
        harnesses.append(harness)
        job_id, store = harness.submit("openai/m"), harness.backend.store
        claim = store.claim(job_id, "first-attempt", "worker-0", now_ms())
        assert claim is not None
        writer = LogWriter(job_id, "first-attempt", claim)
        writer.start(claim.generation, "openai", "openai/m")
        writer.write("half an answer")
        writer.upstream = "resp_1 7"
        while append := writer.next_append(now_ms()):
            writer.settle(append, store.append(append))
        assert store.requeue(job_id, "first-attempt", 1, now_ms())
        return harness, job_id, counted

    yield make
    for harness in harnesses:
        gevent.killall(harness.greenlets)


def _gone() -> PlayedAnswer:
    return PlayedAnswer([], status=404)


@pytest.mark.parametrize("retries", ["0", "2"])
def test_a_kept_answer_that_is_gone_is_begun_anew_at_once(interrupted: Interrupted, retries: str) -> None:
    """Where neither a stream nor a stored answer is left, a new answer costs no retry, no wait and no failed call."""
    transport = PlayedTransport(_gone(), _gone(), _gone(), PlayedAnswer([ANSWER]))
    harness, job_id, counted = interrupted(transport, retries)
    assert harness.run(job_id) == "completed"
    assert [call.method for call in transport.calls] == ["GET", "GET", "POST", "POST"]
    assert "half an answer" not in harness.text(job_id)
    assert (counted.failed, counted.retried) == ([], 0)


def test_after_the_last_retry_an_answer_that_is_gone_is_begun_anew(interrupted: Interrupted) -> None:
    """The stream is cut, which takes the last retry; the answer is gone then, and the next call still completes it."""
    cut = PlayedAnswer([CREATED])
    gone = [_gone() for _ in range(6)]  # stream, stored answer and cancel, twice
    transport = PlayedTransport(*gone[:3], cut, *gone[3:], PlayedAnswer([ANSWER]))
    harness, job_id, counted = interrupted(transport, "1")
    assert harness.run(job_id) == "completed"
    assert (counted.failed, counted.retried) == (["truncated"], 1)


def test_a_position_that_is_lost_again_and_again_ends_the_job(interrupted: Interrupted) -> None:
    """The new answer is cut: without a retry what is stored of it is asked for, and that is gone, too."""
    transport = PlayedTransport(_gone(), _gone(), _gone(), PlayedAnswer([CREATED]), _gone(), _gone())
    harness, job_id, counted = interrupted(transport, "0")
    assert harness.run(job_id) == "failed: unavailable"
    assert (counted.failed, counted.retried) == (["truncated", "unavailable"], 1)
    assert [call.method for call in transport.calls] == ["GET", "GET", "POST", "POST", "GET", "POST"]
