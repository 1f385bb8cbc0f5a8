"""The cursor: what a client sends back is parsed to what it was given, and anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.errors import MalformedCursor
from tokentail.identifiers import new_generation
from tokentail.log.cursor import BEGINNING, OPENING, Cursor, parse_cursor

generations = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=16)


@given(generations, st.integers(0, 999_999_999))
def test_what_was_given_out_comes_back(generation: str, index: int) -> None:
    """Parsing is the inverse of writing."""
    cursor = Cursor(generation, index)
    assert parse_cursor(str(cursor)) == cursor


def test_0_is_the_beginning() -> None:
    """The one cursor that a client may make up, whatever index stands behind it."""
    assert parse_cursor("0") == BEGINNING
    assert str(BEGINNING) == "0"
    assert str(Cursor("", 7)) == "0"


def test_our_own_names_of_generations_can_be_written() -> None:
    """Cursors that the server makes, and the cursor of the opening."""
    for generation in (new_generation(), OPENING):
        assert parse_cursor(str(Cursor(generation, 4))) == Cursor(generation, 4)


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    """Nothing else comes out, and whatever is taken is written as it was."""
    try:
        cursor = parse_cursor(text)
    except MalformedCursor:
        return
    assert parse_cursor(str(cursor)) == cursor


FOREIGN = ["1", "-1", "00", "abc", "abc.", ".1", "abc.-1", "abc.1.2", "ABC.1", "abc.٣", "abc.0x1", "abc.1e3", "null"]
TOO_LONG = ["a" * 17 + ".1", "abc." + "1" * 10]


@pytest.mark.parametrize("text", [*FOREIGN, *TOO_LONG, "", "abc.1 ", " abc.1", "abc.1\n", "ab c.1", "0 ", "0\n"])
def test_what_we_never_gave_is_refused(text: str) -> None:
    """The error says what to send, and does not repeat what was sent."""
    with pytest.raises(MalformedCursor, match="Send back the cursor"):
        parse_cursor(text)
