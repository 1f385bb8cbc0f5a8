"""What the providers' parsers keep of an answer is bounded, whatever the provider sends."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pytest

from tests.unit.worker.recorded_streams import PlayedAnswer, failure_of
from tests.work import work_of
from tokentail.jobs.job import FailureKind
from tokentail.log.element import ToolCall
from worker.chunk import ProviderFailure
from worker.dialects.anthropic.parser import AnthropicParser
from worker.dialects.openai.chat_parser import OpenAiChatParser
from worker.dialects.openai.responses_parser import OpenAiResponsesParser
from worker.upstream.deltas import Deltas
from worker.upstream.event_stream import EventStream
from worker.upstream.provider import StreamParser
from worker.upstream.tool_call_pieces import ToolCallPieces

HALF = "\ud83d"  # of a character: it waits for its other half, so that nothing reaches the log


def chat_call(number: int) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [{"index": number, "function": {"arguments": HALF}}]}}]}


def responses_call(number: int) -> dict[str, Any]:
    item = {"type": "function_call", "id": f"item_{number}"}
    return {"type": "response.output_item.added", "output_index": number, "item": item}


def anthropic_call(number: int) -> dict[str, Any]:
    return {"type": "content_block_start", "index": number, "content_block": {"type": "tool_use"}}


def feed_events(parser: StreamParser, events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        list(parser.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))


@pytest.mark.parametrize(
    ("parser", "call"),
    [
        (OpenAiChatParser, chat_call),
        (OpenAiResponsesParser, responses_call),
        (AnthropicParser, anthropic_call),
    ],
)
def test_tool_calls_without_end_are_malformed(parser: type[StreamParser], call: Any) -> None:
    """Calls of which nothing reaches the log, whose size is limited, are limited by their number."""
    with pytest.raises(ProviderFailure, match="more than 1024 tool calls"):
        feed_events(parser(), map(call, range(2000)))


def test_arguments_that_wait_for_the_end_of_their_block_are_limited_together() -> None:
    """Anthropic's blocks may begin with arguments and never end."""
    block = {"type": "tool_use", "input": {"a": "x" * 1_000_000}}
    with pytest.raises(ProviderFailure) as caught:
        feed_events(AnthropicParser(), ({**anthropic_call(number), "content_block": block} for number in range(20)))
    assert caught.value.failure.kind == FailureKind.MALFORMED


def test_a_call_is_found_by_its_id_however_many_there_are() -> None:
    """Pieces without a number belong to the first call with their id."""
    calls = ToolCallPieces(Deltas())

    def places(arguments: str) -> list[int]:
        pieces = (calls.piece(None, f"call_{number}", "f", arguments) for number in range(50))
        return [chunk.index for piece in pieces for chunk in piece if isinstance(chunk, ToolCall)]

    assert places('{"a":') == list(range(50))
    assert places("1}") == list(range(50))


def test_each_piece_of_a_page_costs_no_more_than_its_own_bytes() -> None:
    """Brackets that close inside a page do not have it parsed again each time."""

    def taken(pieces: int) -> int:
        stream = EventStream("choices", usual="choices", events_of=lambda _: [])
        return work_of(lambda piece: list(stream.feed(piece)), [b"[", *[b"[],"] * pieces]).taken

    assert taken(4_000) < 6 * taken(1_000)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_error_as_json_is_told_as_soon_as_it_is_whole(size: int) -> None:
    """Brackets and quotes in its words do not end it, nor does what follows it belong to it."""
    page = json.dumps({"error": {"message": 'no "}" and no \\"]" here', "details": [{}, []]}}).encode()

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(page), size):
            yield page[at : at + size] + (b" trailing" if at + size >= len(page) else b"")
        raise AssertionError("the page was whole")

    failure = failure_of(PlayedAnswer(pieces()))
    assert 'no "}" and no' in failure.failure.message


def test_calls_that_never_get_a_name_are_limited_together() -> None:
    """Arguments wait for their name, and not without end."""
    deltas = Deltas()
    with pytest.raises(ProviderFailure, match="without their names"):
        list(chain.from_iterable(deltas.tool_call(number % 10, "", "", "x" * 100_000) for number in range(1000)))


def test_large_arguments_leave_as_they_come() -> None:
    """A call is not held back until it is whole: each piece of its arguments gives one at once."""
    calls = ToolCallPieces(Deltas())
    pieces = ['{"text":"', *["x" * 1000] * 100, '"}']
    found = [list(calls.piece(0, "a" if not at else "", "f", piece)) for at, piece in enumerate(pieces)]
    assert [len(chunks) for chunks in found] == [1] * len(pieces)


def test_the_work_for_arguments_grows_with_their_size_alone() -> None:
    """Each character of arguments is looked at once, however small the pieces are."""

    def taken(pieces: int) -> int:
        calls = ToolCallPieces(Deltas())
        list(calls.piece(0, "a", "f", '{"a":["'))
        return work_of(lambda piece: list(calls.piece(0, "a", "f", piece.decode())), [b'\\"]}'] * pieces).taken

    assert taken(4_000) < 6 * taken(1_000)


def test_reasoning_that_goes_back_is_limited() -> None:
    """What the next turn needs is kept to the end of the answer, and the limit of the log does not count it."""
    details = [{"type": "reasoning.encrypted", "data": "x" * 1_000_000, "index": 0}]
    event = {"choices": [{"index": 0, "delta": {"reasoning_details": details}}]}
    with pytest.raises(ProviderFailure, match="too much reasoning"):
        feed_events(OpenAiChatParser(), [event] * 20)


def test_a_large_answer_that_is_not_streamed_is_an_answer() -> None:
    """A body that is one JSON value may be as large as an event of a stream."""
    text = '"}] \\' * 100_000
    body = json.dumps({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}).encode()
    parser = OpenAiChatParser()
    found = [chunk for at in range(0, len(body), 4096) for chunk in parser.feed(body[at : at + 4096])]
    assert found[0] == text
