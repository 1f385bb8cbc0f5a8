"""Pieces that each repeat the whole text so far: what each adds is shown once, in every dialect."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_recorded_streams import PROVIDERS
from tests.unit.worker.recorded_streams import LOST, every_split, played
from worker.upstream.text import CumulativePieces, SaidText

GROWN = ("I", "I am", "I am a", "I am a fish.")
WORDS = st.text(st.sampled_from("ab \n"), min_size=1, max_size=6)


def shown(*pieces: str) -> str:
    said = SaidText(may_be_cumulative=True)
    return "".join(map(said.piece, pieces)) + said.rest()


def events(*values: Any) -> bytes:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()


def of_chat(*texts: str) -> bytes:
    deltas = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    return events(*deltas, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


def of_completions(*texts: str) -> bytes:
    return events(*({"choices": [{"text": text}]} for text in texts), {"choices": [{"finish_reason": "stop"}]})


def of_responses(*texts: str) -> bytes:
    deltas = [{"type": "response.output_text.delta", "output_index": 0, "delta": text} for text in texts]
    return events(*deltas, {"type": "response.completed", "response": {"status": "completed", "output": []}})


def of_anthropic(*texts: str) -> bytes:
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    return events(*deltas, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"})


def of_gemini(*texts: str) -> bytes:
    return events(
        *({"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in texts),
        {"candidates": [{"finishReason": "STOP"}]},
    )


def of_ollama(*texts: str) -> bytes:
    lines = [{"message": {"content": text}, "done": False} for text in texts]
    return "".join(f"{json.dumps(line)}\n" for line in [*lines, {"done": True, "done_reason": "stop"}]).encode()


STREAM_OF: dict[str, Callable[..., bytes]] = {
    "anthropic": of_anthropic,
    "gemini": of_gemini,
    "ollama": of_ollama,
    "openai_chat": of_chat,
    "openai_completions": of_completions,
    "openai_responses": of_responses,
}


@pytest.mark.parametrize("dialect", [*PROVIDERS])
@pytest.mark.parametrize("texts", [GROWN, ("I", *GROWN, GROWN[-1])], ids=["each_once", "first_and_last_twice"])
def test_text_in_cumulative_pieces_is_shown_once(dialect: str, texts: tuple[str, ...]) -> None:
    """However the bytes are split, and the finish reason is the last thing that comes."""
    for pieces in every_split(STREAM_OF[dialect](*texts)):
        chunks = played(pieces, provider=PROVIDERS[dialect])
        assert "".join(chunk for chunk in chunks if isinstance(chunk, str)) == GROWN[-1]
        others = [chunk for chunk in chunks if not isinstance(chunk, str)]
        assert [other["type"] for other in others if other["type"] not in {"terminal", "usage"}] == ["finish"]


def of_last_words(dialect: str, *texts: str) -> bytes:
    """A stream in which each piece comes with the finish reason, as older models of Gemini send it."""
    match dialect:
        case "gemini":
            found = [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"} for text in texts]
            return events(*({"candidates": [each]} for each in found))
        case "openai_chat":
            return events(*({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]} for text in texts))
        case "openai_completions":
            return events(*({"choices": [{"text": text, "finish_reason": "stop"}]} for text in texts))
    lines = ({"message": {"content": text}, "done": True, "done_reason": "stop"} for text in texts)
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


@pytest.mark.parametrize("dialect", ["gemini", "ollama", "openai_chat", "openai_completions"])
@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        (GROWN, GROWN[-1]),
        (("I", *GROWN, GROWN[-1]), GROWN[-1]),
        (("A text of some length", "A text of some length, and its end."), "A text of some length, and its end."),
        (("I", " am", " a", " fish."), GROWN[-1]),
        (("ha", "ha", "ha"), "hahaha"),
    ],
    ids=["grown", "each_twice", "grown_once", "plain", "alike"],
)
def test_a_finish_reason_with_each_piece_doubles_nothing(dialect: str, texts: tuple[str, ...], whole: str) -> None:
    """Whether the pieces are cumulative shows with a later one; what waited for that stands before the last reason."""
    for pieces in every_split(of_last_words(dialect, *texts)):
        chunks = played(pieces, provider=PROVIDERS[dialect])
        assert "".join(chunk for chunk in chunks if isinstance(chunk, str)) == whole
        others = [chunk for chunk in chunks if isinstance(chunk, str) or chunk["type"] not in {"terminal", "usage"}]
        assert others[-1]["type"] == "finish"


@given(st.lists(WORDS, min_size=3, max_size=8), st.booleans())
def test_a_text_that_grows_with_each_piece_is_shown_once(words: list[str], is_told_twice: bool) -> None:
    """Whatever it says, once three of its pieces are more than blanks."""
    wholes = ["x" + "".join(words[:end]) for end in range(1, len(words) + 1)]
    assert shown(*([whole for whole in wholes for _ in range(2)] if is_told_twice else wholes)) == wholes[-1]


@given(st.lists(WORDS, max_size=8))
def test_pieces_of_which_two_do_not_grow_are_all_shown(pieces: list[str]) -> None:
    """An answer is only taken to be cumulative where each of the first three pieces begins with the one before."""
    distinct = [piece for at, piece in enumerate(pieces) if at == 0 or piece != pieces[at - 1]]
    cumulative = CumulativePieces()
    found = "".join(piece if cumulative.is_plain else cumulative.added(piece) for piece in distinct)
    found += "" if cumulative.is_plain else cumulative.rest()
    if not all(each.startswith(before) for before, each in pairwise(distinct[:3])):
        assert found == "".join(distinct)


@pytest.mark.parametrize(
    "pieces", [("ha", "ha"), ("ha", "ha", "ha"), ("a",) * 9, ("1", "10", "x"), ("Hel", "Hello"), ("\n", "\n\n", "a")]
)
def test_short_pieces_that_happen_to_repeat_are_all_shown(pieces: tuple[str, ...]) -> None:
    """One growth of a short text shows nothing, and neither do words that are said again."""
    assert shown(*pieces) == "".join(pieces)


def test_a_long_text_that_grew_once_is_shown_once() -> None:
    """Two pieces are enough where the first is no mere token."""
    assert (
        shown("A text of some length", "A text of some length, and its end.") == "A text of some length, and its end."
    )


def test_text_after_cumulative_pieces_that_does_not_repeat_them_is_shown() -> None:
    """Nothing is lost where a server changes its ways."""
    assert shown(*GROWN, " And", " more.") == "I am a fish. And more."


@pytest.mark.parametrize("is_named_again", [True, False])
def test_arguments_in_cumulative_pieces_join_to_one_json_value(is_named_again: bool) -> None:
    """A JSON object cannot begin twice, so the second piece is enough to know."""
    named = {"index": 0, "id": "c", "function": {"name": "read"}}
    wholes = ['{"path"', '{"path": "{', '{"path": "{\\"a\\""}']
    calls = [
        json.loads(json.dumps(named if at == 0 or is_named_again else {"index": 0, "function": {}})) for at in range(3)
    ]
    for call, whole in zip(calls, wholes, strict=True):
        call["function"]["arguments"] = whole
    stream = events(*({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls))
    chunks = played([stream + of_chat()], provider=PROVIDERS["openai_chat"])
    found = [chunk for chunk in chunks if chunk["type"] == "tool_call"]
    assert "".join(call["arguments"] for call in found) == wholes[-1]
    assert {call["index"] for call in found} == {0}


def test_two_blocks_are_cumulative_each_by_itself() -> None:
    """A block of text begins anew, with an empty line before it."""
    blocks = [
        {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
        for index in (0, 1)
        for text in GROWN
    ]
    blocks.insert(
        len(GROWN), {"type": "content_block_start", "index": 5, "content_block": {"type": "tool_use", "name": "f"}}
    )
    blocks.insert(len(GROWN), {"type": "content_block_stop", "index": 0})
    stream = events(*blocks) + of_anthropic()
    text = "".join(chunk for chunk in played([stream], provider=PROVIDERS["anthropic"]) if isinstance(chunk, str))
    assert text == f"{GROWN[-1]}\n\n{GROWN[-1]}"


@pytest.mark.parametrize("dialect", [*PROVIDERS])
@pytest.mark.parametrize("error", [b'data: {"error": {"message": "overloaded"}}\n\n', b""], ids=["error", "lost"])
def test_a_piece_that_waits_is_shown_when_the_answer_breaks_off(dialect: str, error: bytes) -> None:
    """What came before a failure counts, also where its next piece would have told more of it."""
    text = STREAM_OF[dialect]("ha", "ha").partition(b'"ha"')
    stream = text[0] + text[1] + text[2].partition(b"\n")[0] + b"\n\n"
    again = stream + (error.removeprefix(b"data: ") if dialect == "ollama" else error)
    chunks = played([stream, again], ending=LOST, provider=PROVIDERS[dialect])
    assert chunks[:-1] == ["ha", "ha"]
    assert chunks[-1]["kind"] == ("overloaded" if error else "truncated")
