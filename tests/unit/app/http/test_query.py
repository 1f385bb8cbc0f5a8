"""Query strings, read strictly."""

from pathlib import Path

import pytest

from app.http.page_query import page_query
from app.http.parameters import LET_PASS
from app.http.query import PollQuery, poll_query, preferred_wait_s
from tokentail.errors import InvalidRequest, MalformedCursor
from tokentail.log.cursor import BEGINNING, Cursor


def test_nothing_asked_is_a_short_poll_from_the_beginning() -> None:
    """Every parameter has a default, and an empty cursor is the beginning."""
    expected = PollQuery(BEGINNING, 1000, 0.0, 0.0)
    assert poll_query({}, 25) == poll_query({"cursor": "", "foo": "x"}, 25) == expected


def test_what_is_asked_is_read() -> None:
    """Seconds may have a fraction; milliseconds come out as seconds."""
    query = {"cursor": "gen.7", "limit": "5", "wait": "1.5", "linger_ms": "250"}
    assert poll_query(query, 25) == PollQuery(Cursor("gen", 7), 5, 1.5, 0.25)


@pytest.mark.parametrize("digits", [12, 18, 19, 30, 5000])
def test_too_much_is_shortened(digits: int) -> None:
    """More than the server gives is no fault, however large the number is; zeros before it mean nothing."""
    much = "9" * digits
    query = {"limit": much, "wait": much, "linger_ms": much}
    assert poll_query(query, 25) == PollQuery(BEGINNING, 10_000, 25, 5.0)
    page = page_query({"limit": much}, "", 0)
    assert (page.limit, page.older_than) == (200, None)
    assert preferred_wait_s(f"wait={much}") == min(int(much[:19]), 10**18)
    assert poll_query({"limit": "0" * digits + "7", "wait": "0" * digits + "7.5"}, 25) == PollQuery(
        BEGINNING, 7, 7.5, 0.0
    )


@pytest.mark.parametrize("name", ["wait", "limit", "linger_ms"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "-1",
        "+1",
        "NaN",
        "nan",
        "inf",
        "1e3",
        "0x1",
        "1_000",
        "1,5",
        ".5",
        "1.",
        "\N{FULLWIDTH DIGIT ONE}",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "1\n",
    ],
)
def test_what_is_no_number_is_named(name: str, text: str) -> None:
    """Only ASCII digits are numbers: no signs, exponents, names, separators, or digits of other scripts."""
    with pytest.raises(InvalidRequest) as caught:
        poll_query({name: text}, 25)
    assert [fault.field for fault in caught.value.faults] == [name]


def test_a_limit_of_nothing_is_a_fault() -> None:
    """A read with a limit of 0 would never make progress, so it is refused."""
    for read in (lambda query: poll_query(query, 25), lambda query: page_query(query, "", 0)):
        with pytest.raises(InvalidRequest):
            read({"limit": "0"})


def test_a_malformed_cursor_comes_first() -> None:
    """The cursor is a fault of another kind than a parameter."""
    with pytest.raises(MalformedCursor):
        poll_query({"cursor": "x", "wait": "x"}, 25)


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        (None, None),
        ("", None),
        ("wait=20", 20),
        ("respond-async, wait=20", 20),
        ("Wait = 20 ; foo=bar", 20),
        ('wait="7"', 7),
        ("wait=1, wait=2", 1),
        ("wait=0", 0),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=\N{ARABIC-INDIC DIGIT ONE}", None),
        ("waiting=5", None),
        ("wait=9999999999", 9_999_999_999),
    ],
)
def test_a_preference_is_read_or_ignored(prefer: str | None, wait_s: int | None) -> None:
    """RFC 7240: what cannot be understood is as if it were not there."""
    assert preferred_wait_s(prefer) == wait_s


@pytest.mark.checkout
@pytest.mark.parametrize("name", LET_PASS)
def test_every_parameter_that_is_let_pass_is_documented(name: str) -> None:
    """A client finds in the protocol which names mean nothing."""
    assert f"`{name}`" in (Path(__file__).parents[4] / "docs" / "protocol.md").read_text()
