"""Answers that go on without us, through the real transport: taken up after a cut, cancelled, forgotten."""

from collections.abc import Iterator

import pytest

from tests.background_upstream import BackgroundUpstream, background_upstream, words
from tests.integration.llmock_server import REQUEST, text_of
from tests.waiting import eventually
from tokentail.jobs.job import FinishReason
from tokentail.jobs.request import GenerationRequest
from worker.chunk import Chunk, Finish, Position, PositionLost, ProviderFailure, Terminal
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.source import cancel_upstream, open_chunks
from worker.upstream.transport import HttpTransport


@pytest.fixture
def upstream() -> Iterator[BackgroundUpstream]:
    with background_upstream(tokens=40, tokens_per_s=100) as running:
        yield running


def provider_of(upstream: BackgroundUpstream) -> OpenAiResponses:
    return OpenAiResponses("openai/*", upstream.url, "sk-anything", is_background=True)


def taken(
    upstream: BackgroundUpstream, transport: HttpTransport, resume_from: str = "", leave_after: int = 10_000
) -> tuple[list[list[Chunk]], str]:
    """The lists of chunks up to a number of them, and the last position among them."""
    lists: list[list[Chunk]] = []
    position = ""
    provider = provider_of(upstream)
    with open_chunks(provider, REQUEST, "openai/m", transport, resume_from=resume_from) as answer:
        for chunks in answer:
            lists.append(chunks)
            position = next((chunk.text for chunk in reversed(chunks) if isinstance(chunk, Position)), position)
            if len(lists) >= leave_after:
                break
    return lists, position


def test_an_answer_that_was_left_is_taken_up_where_it_was(
    upstream: BackgroundUpstream, transport: HttpTransport
) -> None:
    """As by another worker, with nothing but the position: the same text, paid for once."""
    first, position = taken(upstream, transport, leave_after=5)
    rest, _ = taken(upstream, transport, resume_from=position)
    assert text_of(first)
    assert text_of(first) + text_of(rest) == words(40)
    assert [chunk for chunk in rest[-1] if isinstance(chunk, Finish | Terminal)] == [
        Finish(FinishReason.STOP, "completed"),
        Terminal(),
    ]
    assert upstream.created == 1
    assert upstream.resumed == [("resp_0000", int(position.split()[1]))]


def test_an_answer_goes_on_while_nobody_listens(upstream: BackgroundUpstream, transport: HttpTransport) -> None:
    """What was written meanwhile comes at once."""
    first, position = taken(upstream, transport, leave_after=3)
    eventually(lambda: upstream.answers["resp_0000"].is_over, what="the answer is whole")
    rest, _ = taken(upstream, transport, resume_from=position)
    assert text_of(first) + text_of(rest) == words(40)


def test_a_cut_stream_is_a_failure_with_a_position(upstream: BackgroundUpstream, transport: HttpTransport) -> None:
    """A network's cut, not ours: the failure may be tried again, and the answer goes on from the last position."""
    seen: list[list[Chunk]] = []
    failure = None
    try:
        with open_chunks(provider_of(upstream), REQUEST, "openai/m", transport) as answer:
            for chunks in answer:
                seen.append(chunks)
                if len(seen) == 5:
                    upstream.drop_streams()
    except ProviderFailure as error:
        failure = error.failure
    assert failure is not None
    assert (failure.kind, failure.is_retryable) == ("truncated", True)
    position = next(chunk.text for chunk in reversed(seen[-1]) if isinstance(chunk, Position))
    rest, _ = taken(upstream, transport, resume_from=position)
    assert text_of(seen) + text_of(rest) == words(40)
    assert upstream.created == 1


def test_a_cancelled_answer_stops(upstream: BackgroundUpstream, transport: HttpTransport) -> None:
    """Closing the connection does not stop it; telling it does, also a second time."""
    _, position = taken(upstream, transport, leave_after=3)
    for _ in range(2):
        cancel_upstream(provider_of(upstream), position, transport)
    answer = upstream.answers["resp_0000"]
    assert upstream.cancelled == ["resp_0000", "resp_0000"]
    assert answer.is_cancelled
    assert len(answer.events) < 40


def test_an_answer_that_is_forgotten_is_lost(upstream: BackgroundUpstream, transport: HttpTransport) -> None:
    """The caller must begin anew; and cancelling what is not there is no failure."""
    _, position = taken(upstream, transport, leave_after=3)
    upstream.forget()
    with pytest.raises(PositionLost):
        taken(upstream, transport, resume_from=position)
    cancel_upstream(provider_of(upstream), position.replace("resp_0000", "resp_9999"), transport)


def test_a_limit_ends_the_answer_as_incomplete(upstream: BackgroundUpstream, transport: HttpTransport) -> None:
    """The reason is that of the provider's last event."""
    request = GenerationRequest(prompt="x", max_tokens=3)
    with open_chunks(provider_of(upstream), request, "openai/m", transport) as answer:
        lists = list(answer)
    assert text_of(lists) == words(3)
    assert [c for c in lists[-1] if isinstance(c, Finish)] == [Finish(FinishReason.LENGTH, "max_output_tokens")]
