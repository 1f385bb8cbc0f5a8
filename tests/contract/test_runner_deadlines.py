"""Deadlines in a running job: one that passes ends the job, whatever its attempt is doing."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from tests.conftest import MakeBackend
from tests.contract.runner_harness import RunnerHarness, whole
from tests.unit.worker.recorded_streams import PlayedAnswer, PlayedTransport
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import decode
from worker.dialects.openai.chat import OpenAiChat
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.provider import HttpCall, Provider

CHAT = OpenAiChat("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours")
BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours", is_background=True)
HELLO = b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n'
FINISH = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
CREATED = b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}\n\n'
SILENCES = ("TOKENTAIL_FIRST_TOKEN_TIMEOUT_S", "TOKENTAIL_IDLE_TIMEOUT_S")

BuildOver = Callable[..., RunnerHarness]  # provider, transport, silence_s=0.2


@pytest.fixture
def build_over(make_backend: MakeBackend) -> Iterator[BuildOver]:
    """`build_over(provider, transport)`: a runner whose provider is behind that transport, and soon is too slow."""
    harnesses: list[RunnerHarness] = []

    def make(provider: Provider, transport: PlayedTransport, silence_s: float = 0.2) -> RunnerHarness:
        short = dict.fromkeys(SILENCES, str(silence_s))
        harnesses.append(RunnerHarness(make_backend(**short), whole, None, (provider, transport), **short))
        return harnesses[-1]

    yield make
    for harness in harnesses:
        gevent.killall(harness.greenlets)


class NeverCancelled(PlayedTransport):
    """A cancel stays without an answer."""

    def send(self, call: HttpCall) -> PlayedAnswer:
        if call.url.endswith("/cancel"):
            self.calls.append(call)
            Event().wait()
        return super().send(call)


def then_silence(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces
    Event().wait()


def test_an_error_whose_body_does_not_end_is_too_late_all_the_same(build_over: BuildOver) -> None:
    """Nobody is asked again: the time for that is gone."""
    transport = PlayedTransport(PlayedAnswer(then_silence(b"bus"), status=503), PlayedAnswer(then_silence()))
    harness = build_over(CHAT, transport)
    assert harness.run(harness.submit("openai/m")) == "failed: timeout"
    assert len(transport.calls) == 1


def test_a_prompt_that_speaks_of_deadlines_changes_nothing(build_over: BuildOver) -> None:
    """Providers' words that repeat the request are left out; a deadline's are ours."""
    transport = PlayedTransport(PlayedAnswer(then_silence()), PlayedAnswer(then_silence()))
    harness = build_over(CHAT, transport)
    job_id = harness.submit("openai/m", prompt="Why is it that the provider took too long for the first token?")
    assert harness.run(job_id) == "failed: timeout"
    assert harness.error(job_id)["message"] == "The provider took too long for the first token."
    assert len(transport.calls) == 1


def test_a_provider_that_does_not_hear_a_cancel_is_too_slow_as_well(build_over: BuildOver) -> None:
    """An answer cannot be taken up again, stopping it takes too long, and a new one is not asked for."""
    gone = [PlayedAnswer([], status=404) for _ in range(2)]  # the stream and the stored answer
    transport = NeverCancelled(PlayedAnswer([CREATED]), *gone, PlayedAnswer(then_silence()))
    harness = build_over(BACKGROUND, transport)
    assert harness.run(harness.submit("openai/m")) == "failed: timeout"
    assert [call.method for call in transport.calls] == ["POST", "GET", "GET", "POST"]
    assert transport.calls[-1].url.endswith("/cancel")


def test_a_deadline_after_the_models_last_word_costs_no_answer(build_over: BuildOver) -> None:
    """The text is whole; only the usage is missing."""
    harness = build_over(CHAT, PlayedTransport(PlayedAnswer(then_silence(HELLO, FINISH))))
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert harness.text(job_id) == "Hello"


def test_a_body_that_is_held_open_after_the_last_word_costs_no_part_of_the_answer(build_over: BuildOver) -> None:
    """What waited for the end of the body is shown: the arguments of a call without any, and what goes back."""
    call = b'{"index": 0, "id": "a", "function": {"name": "now", "arguments": ""}}'
    details = b'[{"type": "reasoning.encrypted", "data": "E"}]'
    said = b'data: {"choices": [{"delta": {"reasoning_details": %s, "tool_calls": [%s]}}]}\n\n' % (details, call)
    finish = FINISH.replace(b"stop", b"tool_calls")
    harness = build_over(CHAT, PlayedTransport(PlayedAnswer(then_silence(said, finish))))
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    events = list(map(decode, harness.backend.store.read(job_id, BEGINNING, 100).elements))
    assert "".join(event["arguments"] for event in events if event["type"] == "tool_call") == "{}"
    assert [event["provider_state"]["reasoning_details"] for event in events if event["type"] == "reasoning"]
    assert events[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "signs",
    [
        [b": OPENROUTER PROCESSING\n\n"] * 8,
        [b'data: {"choices": [{"delta": {}}]}\n\n'] * 8,
        [b'data: {"choices": []}\n\n'] * 8,
        [b"event: keepalive\ndata: {}\n\n"] * 8,
        [b"data: {", b'"ch', b"oi", b"ce", b's"', b": ", b"[]", b"}\n\n"],
    ],
    ids=["comment", "empty delta", "no choices", "keepalive", "part of an event"],
)
def test_a_provider_that_shows_that_it_works_is_waited_for(build_over: BuildOver, signs: list[bytes]) -> None:
    """Whatever it sends, a model that thinks for longer than a silence may last gives its answer."""

    def thinks() -> Iterator[bytes]:
        for part in signs:
            gevent.sleep(0.15)
            yield part
        yield from (HELLO, FINISH)

    harness = build_over(CHAT, PlayedTransport(PlayedAnswer(thinks())), silence_s=1.0)
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert harness.text(job_id) == "Hello"
