"""Newline-delimited JSON: the same lines however the bytes are split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.work import work_of
from worker.upstream.ndjson import LineTooLong, NdjsonDecoder


def lines_of(pieces: list[bytes]) -> tuple[list[str], str]:
    decoder = NdjsonDecoder()
    return [line for piece in pieces for line in decoder.feed(piece)], decoder.rest()


@pytest.mark.parametrize(
    ("stream", "lines", "rest"),
    [
        (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}'], ""),
        (b"one\r\ntwo\rthree\n", ["one", "two", "three"], ""),
        (b"\n\r\n \t\n\r\rone\n\n", ["one"], ""),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n", ["one", "\ufefftwo"], ""),
        ("a\u2028b\u0085c\x0bd\n".encode(), ["a\u2028b\u0085c\x0bd"], ""),
        ("Grüße 👩‍👩‍👧\n".encode(), ["Grüße 👩‍👩‍👧"], ""),
        (b"one\ntwo", ["one"], "two"),
        (b"\xef\xbb\xbfalone", [], "alone"),
        (b"a\xffb\n\xf0\x9f", ["a\ufffdb"], "\ufffd"),
        (b"", [], ""),
    ],
)
def test_lines_are_the_same_however_they_are_split(stream: bytes, lines: list[str], rest: str) -> None:
    """LF, CR LF and CR end a line, and nothing else does; blank lines are none; a mark may lead."""
    assert lines_of([stream]) == (lines, rest)
    assert lines_of([stream[i : i + 1] for i in range(len(stream))]) == (lines, rest)
    for i in range(len(stream) + 1):
        assert lines_of([stream[:i], stream[i:]]) == (lines, rest), f"split at {i}"


@given(st.lists(st.binary(max_size=6) | st.sampled_from([b"\r", b"\n", b"\xef\xbb\xbf", b" "]), max_size=12))
def test_no_split_changes_the_lines(pieces: list[bytes]) -> None:
    """Whatever the bytes are."""
    assert lines_of(pieces) == lines_of([b"".join(pieces)])


@pytest.mark.parametrize("pieces", [[b"123456789"], [b"12345", b"6789"], [b"1\n12345", b"6789\n"], [b"123456789\n1\n"]])
def test_a_line_that_does_not_end_is_refused(pieces: list[bytes]) -> None:
    """The bound is on a line's bytes, ended or not; lines up to it pass."""
    decoder = NdjsonDecoder(max_line_bytes=8)
    assert decoder.feed(b"12345678\n") == ["12345678"]
    with pytest.raises(LineTooLong, match="longer than 8 bytes"):
        list(map(decoder.feed, pieces))


def test_the_bound_is_on_a_line_and_not_on_the_stream() -> None:
    """Many lines in many pieces."""
    decoder = NdjsonDecoder(max_line_bytes=8)
    assert sum(len(decoder.feed(piece)) for piece in [b"1234", b"567\n", b"12345", b"67\r\n"] * 50) == 100


@pytest.mark.parametrize("size", [29, 65536, 1_000_000])
def test_a_line_takes_a_small_multiple_of_its_bytes(size: int) -> None:
    """However small the pieces are in which it comes, and however many blank lines come before it in one of them."""
    stream = b"a\n\n \r" * 50_000 + b"x" * 800_000
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert work_of(NdjsonDecoder(200_000).feed, pieces, LineTooLong).peak < 8 * 200_000


def test_each_piece_costs_no_more_than_its_own_bytes() -> None:
    """Four times the bytes take four times the memory traffic."""
    few, many = (work_of(NdjsonDecoder().feed, [b"xyz"] * count).taken for count in (5_000, 20_000))
    assert many < 6 * few
