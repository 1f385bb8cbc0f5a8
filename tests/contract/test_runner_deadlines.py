"""Deadlines in a running job: one that passes ends the job, whatever its attempt is doing."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from tests.conftest import MakeBackend
from tests.contract.runner_house import RunnerHouse, whole
from tests.unit.worker.recorded_streams import PlayedAnswer, PlayedTransport
from worker.providers.openai_chat import OpenAiChat
from worker.providers.openai_responses import OpenAiResponses
from worker.providers.provider import HttpCall, Provider

CHAT = OpenAiChat("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours")
BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours", is_background=True)
HELLO = b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n'
FINISH = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
CREATED = b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}\n\n'
SHORT = {"TOKENTAIL_FIRST_TOKEN_TIMEOUT_S": "0.2", "TOKENTAIL_IDLE_TIMEOUT_S": "0.2"}

BuildOver = Callable[[Provider, PlayedTransport], RunnerHouse]


@pytest.fixture
def build_over(make_backend: MakeBackend) -> Iterator[BuildOver]:
    """`build_over(provider, transport)`: a runner whose provider is behind that transport, and soon is too slow."""
    houses: list[RunnerHouse] = []

    def make(provider: Provider, transport: PlayedTransport) -> RunnerHouse:
        houses.append(RunnerHouse(make_backend(**SHORT), whole, None, (provider, transport), **SHORT))
        return houses[-1]

    yield make
    for house in houses:
        gevent.killall(house.greenlets)


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
    house = build_over(CHAT, transport)
    assert house.run(house.submit("openai/m")) == "failed: timeout"
    assert len(transport.calls) == 1


def test_a_prompt_that_speaks_of_deadlines_changes_nothing(build_over: BuildOver) -> None:
    """Providers' words that repeat the request are left out; a deadline's are ours."""
    transport = PlayedTransport(PlayedAnswer(then_silence()), PlayedAnswer(then_silence()))
    house = build_over(CHAT, transport)
    job_id = house.submit("openai/m", prompt="Why is it that the provider took too long for the first token?")
    assert house.run(job_id) == "failed: timeout"
    assert house.error(job_id)["message"] == "The provider took too long for the first token."
    assert len(transport.calls) == 1


def test_a_provider_that_does_not_hear_a_cancel_is_too_slow_as_well(build_over: BuildOver) -> None:
    """An answer cannot be taken up again, stopping it takes too long, and a new one is not asked for."""
    cut, gone, silent = PlayedAnswer([CREATED]), PlayedAnswer([], status=404), PlayedAnswer(then_silence())
    transport = NeverCancelled(cut, gone, silent)
    house = build_over(BACKGROUND, transport)
    assert house.run(house.submit("openai/m")) == "failed: timeout"
    assert [call.method for call in transport.calls] == ["POST", "GET", "POST"]
    assert transport.calls[-1].url.endswith("/cancel")


def test_a_deadline_after_the_models_last_word_costs_no_answer(build_over: BuildOver) -> None:
    """The text is whole; only the usage is missing."""
    house = build_over(CHAT, PlayedTransport(PlayedAnswer(then_silence(HELLO, FINISH))))
    job_id = house.submit("openai/m")
    assert house.run(job_id) == "completed"
    assert house.text(job_id) == "Hello"
