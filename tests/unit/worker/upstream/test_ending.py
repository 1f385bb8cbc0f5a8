"""How answers end: by one rule in every dialect."""

import pytest

from tests.contract.test_recorded_streams import BACKGROUND, PROVIDERS
from tests.unit.worker.recorded_streams import (
    OPENAI,
    REQUEST,
    PlayedAnswer,
    PlayedTransport,
    failure_of,
    played,
    recorded,
)
from tokentail.config.endpoints import Endpoint
from tokentail.jobs.job import FailureKind, FinishReason, Usage
from tokentail.log.element import Citation, Code, Content, Media, Reasoning, Refusal, Skipped, ToolCall, ToolResult
from worker.chunk import Chunk, Finish, ProviderFailure, Terminal, UsageReport, takes_reason_back
from worker.dialects.registry import providers_of
from worker.upstream.answer_stream import Ending
from worker.upstream.provider import HttpProvider
from worker.upstream.source import open_chunks

STOP = Finish(FinishReason.STOP, "stop")
FILTERED = Finish(FinishReason.CONTENT_FILTER, "SAFETY")
ODD = Skipped("part", "videoMetadata", 9)
STATE = Reasoning("", {"dialect": "x"})
VISIBLE: list[Content] = [
    *(Reasoning("hm"), ToolCall(0, "a", "f"), Refusal("no"), Code("c", "python", "1")),
    *(
        Media(0, "image", "image/png", data="iVBORw0KGgo="),
        Citation("https://e.example", "t"),
        ToolResult("a", "f", "1"),
    ),
]


def ended(*chunks: Chunk) -> ProviderFailure | None:
    ending = Ending(needs_reason=True)
    ending.take(chunks)
    return ending.failure()


@pytest.mark.parametrize(
    "chunks", [[], [STOP], [STOP, Terminal()], [ODD, STOP], [STATE, STOP], [STOP, UsageReport(Usage(9, 0))]]
)
def test_an_answer_with_nothing_visible_is_no_success(chunks: list[Chunk]) -> None:
    """That is a failure that may be tried again, whether it has a reason, an end marker, a count of 0 or none."""
    failure = ended(*chunks)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.is_retryable) == (FailureKind.UNAVAILABLE, True)
    assert "empty" in failure.failure.message


def test_an_empty_answer_names_what_was_skipped() -> None:
    """By the provider's words, each once."""
    failure = ended(ODD, ODD, Skipped("item", "hologram", 9), STOP)
    assert failure is not None
    assert failure.failure.message.endswith("skipped: videoMetadata, hologram.")


@pytest.mark.parametrize("chunk", ["text", *VISIBLE], ids=lambda chunk: type(chunk).__name__)
def test_whatever_is_shown_is_visible(chunk: Chunk) -> None:
    """With it an answer is complete, and without a reason it is truncated."""
    assert ended(chunk, STOP) is None
    failure = ended(chunk)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.is_retryable) == (FailureKind.TRUNCATED, False)


@pytest.mark.parametrize("chunks", [[FILTERED], [FILTERED, Terminal()], [STOP, UsageReport(Usage(9, 3))]])
def test_an_answer_that_is_empty_for_a_reason_is_complete(chunks: list[Chunk]) -> None:
    """The provider filtered it, or counted output that it does not show."""
    assert ended(*chunks) is None


@pytest.mark.parametrize("chunk", [Citation("https://e.example", "t"), STATE, ODD])
def test_what_belongs_to_an_answer_may_follow_its_reason(chunk: Chunk) -> None:
    """Sources, what the next turn needs, and notes on skipped content do not show that the answer goes on."""
    assert not takes_reason_back(chunk)
    assert ended("text", STOP, chunk) is None


def endless_of(dialect: str) -> HttpProvider:
    """A provider of the dialect whose answers may end without a reason."""
    endpoint = Endpoint("lenient", dialect, "https://api.example/v1", needs_reason=False)
    return next(iter(providers_of(endpoint)))


NO_REASON = {"anthropic": "cut", "gemini": "no_reason", "ollama": "cut", "openai_chat": "no_reason"}


@pytest.mark.parametrize("dialect", [*PROVIDERS])
def test_a_provider_may_be_known_to_end_without_a_reason(dialect: str) -> None:
    """A clean end with something visible completes its answers; an empty one is a failure all the same."""
    stream, expected = recorded(NO_REASON.get(dialect, "cut"), dialect)
    assert expected[-1]["kind"] == "truncated"
    assert played([stream], provider=endless_of(dialect)) == expected[:-1]
    assert played([b""], provider=endless_of(dialect))[-1]["kind"] == "unavailable"


def test_a_stream_that_can_be_taken_up_again_is_not_given_up() -> None:
    """A clean end without the last event costs no other answer there: the failure may be tried again."""
    created = b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}\n\n'
    failure = failure_of(PlayedAnswer([created]), provider=BACKGROUND)
    assert (failure.failure.kind, failure.failure.is_retryable) == (FailureKind.TRUNCATED, True)


def test_an_end_that_may_be_a_cut_is_tried_again() -> None:
    """Where the end of the connection is that of the body, it looks like a cut: without a reason the answer may be cut,
    and the next call may bring all of it. With a reason it is whole."""
    text = b'data: {"choices": [{"delta": {"content": "Half"}}]}\n\n'
    failure = failure_of(PlayedAnswer([text], is_delimited=False)).failure
    assert (failure.kind, failure.is_retryable) == (FailureKind.TRUNCATED, True)
    ended_well = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
    with open_chunks(
        OPENAI, REQUEST, "openai/m", PlayedTransport(PlayedAnswer([text, ended_well], is_delimited=False))
    ) as lists:
        assert [chunk for chunks in lists for chunk in chunks] == ["Half", Finish(FinishReason.STOP, "stop")]


def test_an_end_marker_without_a_reason_is_no_cut() -> None:
    """The server ended the body itself, and would do so again."""
    stream = b'data: {"choices": [{"delta": {"content": "Half"}}]}\n\ndata: [DONE]\n\n'
    failure = failure_of(PlayedAnswer([stream], is_delimited=False)).failure
    assert (failure.kind, failure.is_retryable) == (FailureKind.TRUNCATED, False)


def test_a_status_of_201_is_an_answer() -> None:
    """Some frameworks answer every POST so."""
    stream, expected = recorded("text")
    with open_chunks(OPENAI, REQUEST, "openai/m", PlayedTransport(PlayedAnswer([stream], status=201))) as lists:
        assert "".join(chunk for chunks in lists for chunk in chunks if isinstance(chunk, str)) == "".join(
            chunk for chunk in expected if isinstance(chunk, str)
        )


def test_a_body_that_is_held_open_after_the_reason_is_read_on() -> None:
    """No wait of a read is bounded: the deadlines of the attempt are, and what comes late is kept."""
    pieces = [b'data: {"choices": [{"delta": {"content": "%d"}, "finish_reason": "stop"}]}\n\n' % n for n in range(3)]
    answer = PlayedAnswer(pieces)
    with open_chunks(OPENAI, REQUEST, "openai/m", PlayedTransport(answer)) as lists:
        assert "".join(chunk for chunks in lists for chunk in chunks if isinstance(chunk, str)) == "012"
    assert answer.waits == [None] * 4
