"""The demo: deterministic, honest about what it is, and at the pace that its name asks for."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.unit.worker.recorded_streams import PlayedTransport
from tokentail.jobs.job import FinishReason, Usage
from tokentail.jobs.request import GenerationRequest
from tokentail.log.element import Reasoning, encode
from worker.chunk import Chunk, Finish, Terminal, UsageReport
from worker.dialects.demo import Demo
from worker.upstream.source import open_chunks

EXPECTED = "Città road Ωmega winter bridge piñata amber feather little river copper little."
REQUEST = GenerationRequest(prompt="Why is the sky blue?")


NO_TRANSPORT = PlayedTransport()  # the demo sends nothing


class FakeTime:
    """A clock that only sleeping moves, and work, if the test wants it."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


def lists_of(model: str, request: GenerationRequest = REQUEST) -> list[list[Chunk]]:
    return [chunks for _, chunks in Demo().steps(request, model)]


def tokens_of(model: str, request: GenerationRequest = REQUEST) -> list[str]:
    return [chunk for chunks in lists_of(model, request) for chunk in chunks if isinstance(chunk, str)]


def test_the_first_sentence_says_that_it_is_no_model() -> None:
    """Nobody should take it for one."""
    assert (
        "".join(tokens_of("demo"))
        .partition(".")[0]
        .endswith("demo, not a language model: it strings random words together at a steady pace")
    )


def test_the_same_prompt_and_name_give_the_same_text() -> None:
    """On every machine: a part of it is written down here. Another prompt gives another text."""
    text = "".join(tokens_of("demo?tokens=30"))
    assert text == "".join(tokens_of("demo?tokens=30"))
    assert text.partition("pace. ")[2] == EXPECTED
    assert text != "".join(tokens_of("demo?tokens=30", GenerationRequest(prompt="Why is the sea blue?")))


@pytest.mark.parametrize("length", [0, 1, 18, 63, 64, 65, 1000])
@pytest.mark.parametrize("tps", [0, 7])
def test_it_has_the_length_that_was_asked_for(length: int, tps: int) -> None:
    """The demo gives exactly the tokens that were asked for, none of them empty, each fit for a log."""
    tokens = tokens_of(f"demo?tokens={length}&tps={tps}")
    assert len(tokens) == length
    assert all(len(encode(token)) > 2 for token in tokens)


def test_the_end_tells_reason_and_usage() -> None:
    """As a model's does: the words of the prompt, and the tokens."""
    end = lists_of("demo?tokens=5&tps=0")[-1]
    assert end == [Finish(FinishReason.STOP, "stop"), UsageReport(Usage(5, 5)), Terminal()]


@pytest.mark.parametrize(("most", "sent", "reason"), [(3, 3, "length"), (5, 5, "stop"), (9, 5, "stop")])
def test_max_tokens_cuts_it_short(most: int, sent: int, reason: str) -> None:
    """An answer that `max_tokens` cut has the finish reason `length`; an answer that was not cut has `stop`."""
    request = GenerationRequest(prompt="x", max_tokens=most)
    *content, end = lists_of("demo?tokens=5&tps=0", request)
    assert sum(map(len, content)) == sent
    assert end[:2] == [Finish(FinishReason(reason), reason), UsageReport(Usage(1, sent))]


def test_it_thinks_first_if_its_name_says_so() -> None:
    """The reasoning comes before the text and at its pace; the text has the length that was asked for."""
    steps = list(Demo().steps(REQUEST, "demo?reasoning=4&tokens=5&tps=10"))
    chunks = [chunk for _, chunks in steps for chunk in chunks]
    assert [type(chunk) for chunk in chunks[:9]] == [Reasoning] * 4 + [str] * 5
    assert [due_s for due_s, _ in steps[:9]] == pytest.approx([i / 10 for i in range(9)])
    assert chunks[-2] == UsageReport(Usage(5, 5))


def test_the_pace_does_not_drift() -> None:
    """Token i comes at i / tps seconds after the beginning, although each takes its reader some time, too."""
    time = FakeTime()
    seen_at: list[float] = []
    with open_chunks(Demo(), REQUEST, "demo?tokens=50&tps=10", NO_TRANSPORT, time.sleep, time.clock) as lists:
        for _ in lists:
            seen_at.append(time.now_s - 100)
            time.now_s += 0.03
    assert seen_at[:50] == pytest.approx([i / 10 for i in range(50)])


def test_a_demo_that_is_late_catches_up() -> None:
    """A reader that was held up gets what was due meanwhile at once."""
    time = FakeTime()
    with open_chunks(Demo(), REQUEST, "demo?tokens=50&tps=10", NO_TRANSPORT, time.sleep, time.clock) as lists:
        next(lists)
        time.now_s += 2
        time.slept.clear()
        for _ in range(20):
            next(lists)
    assert time.slept == [0.0] * 20


def test_as_fast_as_possible_still_lets_others_run() -> None:
    """Lists are bounded, and each gives way."""
    time = FakeTime()
    with open_chunks(Demo(), REQUEST, "demo?tokens=1000&tps=0", NO_TRANSPORT, time.sleep, time.clock) as lists:
        sizes = [len(chunks) for chunks in lists]
    assert max(sizes) <= 64
    assert time.slept == [0.0] * len(sizes)


def test_steps_are_in_order_of_time() -> None:
    """The demo's steps come sorted by time."""
    steps: Iterator[tuple[float, list[Chunk]]] = Demo().steps(REQUEST, "demo?tokens=20&tps=3")
    assert all(a <= b for a, b in pairwise(due for due, _ in steps))
