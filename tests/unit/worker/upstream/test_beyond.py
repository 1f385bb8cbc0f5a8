"""What a whole answer has beyond what was shown of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.jobs.job import FinishReason
from tokentail.log.element import Citation, Code, CustomToolCall, Media, Reasoning, Refusal, ToolCall
from worker.chunk import Chunk, Finish, Terminal
from worker.upstream.beyond import beyond

LINK = Citation("https://example.org", "Example")
END: list[Chunk] = [Finish(FinishReason.STOP, "completed"), Terminal()]


def shown(*elements: Any) -> list[Any]:
    """Elements as a log has them."""
    return [msgspec.to_builtins(element) for element in elements]


@given(st.text(), st.data())
def test_text_goes_on_wherever_it_was_cut(text: str, data: st.DataObject) -> None:
    """No character is lost or doubled, however it was split into tokens."""
    at = data.draw(st.integers(0, len(text)))
    middle = data.draw(st.integers(0, at))
    assert beyond([text[:middle], text[middle:at]], [text, *END]) == [*([text[at:]] if text[at:] else []), *END]


@pytest.mark.parametrize(
    ("before", "whole", "left"),
    [
        ((), ["All.", LINK], ["All.", LINK]),
        (("Hel", Refusal("No")), ["Hello", Refusal("No.")], ["lo", Refusal(".")]),
        ((Reasoning("Hm"), "A"), [Reasoning("Hmm."), "AB"], [Reasoning("m."), "B"]),
        (("One.\n\nTwo",), ["One.Two.Three"], [".Three"]),
        (("One.Two",), ["One.\n\nTwo.Three"], [".Three"]),
        (("A ",), ["A", "B"], ["B"]),
        (("A", LINK), ["A", LINK, Citation("https://example.net", "")], [Citation("https://example.net", "")]),
        ((Media(0, "image", "image/png", "AA=="),), [Media(0, "image", "image/png", "AA==")], []),
        ((Code("c", "python", "1 +"),), [Code("c", "python", "1 + 1")], [Code("c", "python", " 1")]),
        (
            (ToolCall(0, "a", "f"), ToolCall(0, arguments='{"x"')),
            [ToolCall(0, "a", "f"), ToolCall(0, arguments='{"x":1}'), ToolCall(1, "b", "g", "{}")],
            [ToolCall(0, arguments=":1}"), ToolCall(1, "b", "g", "{}")],
        ),
        ((ToolCall(0, "a", "f", "{}"),), [ToolCall(0, "a", "f", "{}")], []),
        (
            (ToolCall(0, "a", "f", "{}"),),
            [ToolCall(0, "a", "f", "{}", {"s": 1})],
            [ToolCall(0, provider_state={"s": 1})],
        ),
        ((CustomToolCall(0, "a", "f", "ab"),), [CustomToolCall(0, "a", "f", "abc")], [CustomToolCall(0, input="c")]),
        ((Reasoning("told in other words"),), [Reasoning("a summary"), "A"], ["A"]),
    ],
)
def test_what_was_shown_is_not_shown_again(before: tuple[Any, ...], whole: list[Chunk], left: list[Chunk]) -> None:
    """Of each kind of content, only what readers lack follows."""
    assert beyond(shown(*before), [*whole, *END]) == [*left, *END]


@pytest.mark.parametrize(
    ("before", "whole"),
    [
        (("Hello",), ["Goodbye"]),
        (("Hello",), ["Hel"]),
        (("Hello",), []),
        ((Refusal("No"),), ["Yes"]),
        ((ToolCall(0, "a", "f", '{"x'),), [ToolCall(0, "a", "f", '{"y":1}')]),
        ((ToolCall(0, "a", "f", '{"x'),), [ToolCall(0, "b", "f", '{"x":1}')]),
        ((ToolCall(0, "a", "f", "{}"),), ["No tool."]),
    ],
)
def test_another_answer_than_the_one_shown_is_found_out(before: tuple[Any, ...], whole: list[Chunk]) -> None:
    """Readers must not get the end of one answer behind the beginning of another."""
    assert beyond(shown(*before), [*whole, *END]) is None
