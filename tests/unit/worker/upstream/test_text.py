"""A last piece that repeats the whole text is left out; every other piece is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.upstream.deltas import Deltas, Told
from worker.upstream.text import SaidText

LONG = "A sentence of some length."


def shown(*pieces: str) -> str:
    said = SaidText()
    return "".join(map(said.piece, pieces)) + said.rest()


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (("Hel", "lo", "Hello"), "Hello"),
        (("Hel", "lo ", "Hello"), "Hello "),
        (("\nHel", "lo", "Hello\n"), "\nHello"),
        (("Hel", "lo", "Hello", "\n"), "Hello"),
        (("Gr\xfc\xdf ", "\ud83d", "\ude00", "Gr\xfc\xdf \ud83d\ude00"), "Gr\xfc\xdf \N{GRINNING FACE}"),
        ((LONG, LONG), LONG),
    ],
)
def test_a_last_piece_that_repeats_all_before_it_is_left_out(pieces: tuple[str, ...], whole: str) -> None:
    """A repetition adds nothing, whatever blanks it adds or leaves out at its ends."""
    assert shown(*pieces) == whole


@pytest.mark.parametrize(
    "pieces",
    [
        ("ha", "ha"),
        ("ha", "ha", "ha"),
        ("1", "1"),
        ("Hel", "lo", "Hello", "!"),
        ("a", "b", "ab", "ab", "c"),
        ("Hel", "lo", "hello"),
        (LONG, LONG, "And more."),
        (" ", " "),
    ],
)
def test_every_other_piece_is_shown(pieces: tuple[str, ...]) -> None:
    """A word said twice stays, and so does a text that is repeated before more text."""
    assert shown(*pieces) == "".join(pieces)


@pytest.mark.parametrize(
    ("pieces", "whole"), [(("Hel", "lo"), "Hello world"), (("Hel", "lo "), "Hello world"), ((), "Hi")]
)
def test_a_whole_text_adds_what_no_piece_had(pieces: tuple[str, ...], whole: str) -> None:
    """A message that comes whole at the end adds what comes after its pieces."""
    deltas = Deltas()
    found = [chunk for piece in pieces for chunk in deltas.text(piece)]
    found += [*deltas.text(whole, Told.LAST_PIECE), *deltas.rest()]
    assert "".join(map(str, found)) == whole


@given(st.lists(st.text(max_size=4), max_size=8), st.text(max_size=20))
def test_text_is_lost_only_where_it_repeats_all(pieces: list[str], last: str) -> None:
    """Whatever the pieces are, all of them are shown, but perhaps for the last ones."""
    whole, found = "".join([*pieces, last]), shown(*pieces, last)
    assert whole.startswith(found)
    assert not (missing := whole[len(found) :].strip()) or missing == found.strip()
