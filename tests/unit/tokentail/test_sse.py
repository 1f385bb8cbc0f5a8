"""The SSE decoder: WHATWG HTML 9.2.6, fed with any split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.work import work_of
from tokentail.sse import FOREIGN_LINE, EventTooLarge, SseDecoder, SseEvent


def decoded(*pieces: bytes) -> list[SseEvent]:
    decoder = SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def reference(stream: bytes) -> list[SseEvent]:
    """The standard's own algorithm over the whole text, as slow and plain as it is written there."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, data, kind, last_id = [], "", "", ""
    for line in text.split("\n")[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append(SseEvent(data.removesuffix("\n"), kind or "message", last_id))
            data, kind = "", ""
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


def test_an_event_is_its_data() -> None:
    """The plain case: one line, one blank line, one event of type `message`."""
    assert decoded(b"data: hello\n\n") == [SseEvent("hello", "message", "")]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_each_kind_of_line_end_ends_a_line(newline: bytes) -> None:
    """LF, CR LF and CR all count."""
    assert decoded(newline.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])) == [
        SseEvent("a\nb"),
        SseEvent("c"),
    ]


def test_a_cr_lf_that_is_cut_in_two_is_one_line_end() -> None:
    """The LF that follows in the next read makes no blank line, which would end the event early."""
    assert decoded(b"data: a\r", b"\ndata: b\r\n\r", b"\n") == [SseEvent("a\nb")]


def test_an_event_is_given_at_its_last_cr_without_waiting_for_an_lf() -> None:
    """With CR line ends nothing follows the last one; the event must not wait for the next read."""
    assert decoded(b"data: a\r\r") == [SseEvent("a")]


def test_unicode_line_separators_are_text() -> None:
    """U+2028, U+0085 and form feeds end no line."""
    assert decoded("data: a\u2028b\u0085c\x0cd\x0be\x1cf\n\n".encode()) == [SseEvent("a\u2028b\u0085c\x0cd\x0be\x1cf")]


def test_one_leading_space_is_dropped_and_only_one() -> None:
    """The rest is the text's own."""
    assert decoded(b"data:  two\n\ndata:none\n\ndata: \n\n") == [SseEvent(" two"), SseEvent("none"), SseEvent("")]


def test_data_without_a_value_is_an_empty_line() -> None:
    """`data` and `data:` are both a line of nothing; a blank line alone is no event."""
    assert decoded(b"\n\ndata\n\ndata:\ndata\n\nevent: x\n\n") == [SseEvent(""), SseEvent("\n")]


def test_a_byte_order_mark_leads_the_stream_unseen_and_only_there() -> None:
    """Even when it arrives in pieces."""
    assert decoded(b"\xef", b"\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [SseEvent("a")]


def test_comments_and_unknown_fields_are_skipped() -> None:
    """Comments end no event and are part of none."""
    assert decoded(b": ping\n\ndata: a\n: in between\nretry: 10\nnonsense\nfoo: bar\ndata: b\n\n") == [SseEvent("a\nb")]


def test_type_and_id_are_kept_as_the_standard_says() -> None:
    """A type is for one event; an id is for all that follow, and one with a NUL does not count."""
    stream = b"event: x\nid: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n"
    assert decoded(stream) == [SseEvent("a", "x", "1"), SseEvent("b", id="1"), SseEvent("c", id="1"), SseEvent("d")]


def test_an_event_without_its_blank_line_is_no_event() -> None:
    """A stream that was cut must not look whole."""
    assert decoded(b"data: a\n\ndata: b\n") == [SseEvent("a")]


def test_a_line_that_never_ends_is_refused() -> None:
    """A broken or hostile server cannot fill the memory."""
    decoder = SseDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        list(map(decoder.feed, [b"x"] * 200))


def test_an_event_that_never_ends_is_refused() -> None:
    """Many short lines do not pass the limit."""
    decoder = SseDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        list(map(decoder.feed, [b"data: x\n"] * 200))


def test_a_long_stream_of_small_events_is_no_large_event() -> None:
    """The limit is for what is held back, not for the stream."""
    decoder = SseDecoder(max_event_bytes=100)
    assert sum(len(decoder.feed(b"data: hello\n\nda") + decoder.feed(b"ta: x\r\n\r\n")) for _ in range(200)) == 400


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


LIMIT = 100_000
ENDLESS = {
    "empty_data_lines": b"data:\n",
    "data_lines_without_a_colon": b"data\r",
    "short_data_lines": b"data: x\r\n",
    "one_line_of_data": b"x",
    "one_comment": b":",
    "blank_carriage_returns_and_data": b"data:\r",
    "one_name_of_a_field": b"d",
}


@pytest.mark.parametrize("size", [29, 65536, 6_000_000])
@pytest.mark.parametrize("unit", ENDLESS.values(), ids=ENDLESS)
def test_all_that_is_held_counts_against_the_limit(unit: bytes, size: int) -> None:
    """An event without end is refused at the limit, and never takes more than a small multiple of it.

    Empty lines count as well as long ones, and it makes no difference whether they come at once or in pieces.
    """
    stream = unit * (6 * LIMIT // len(unit))
    assert work_of(SseDecoder(LIMIT).feed, cut(stream, size), EventTooLarge).peak < 8 * LIMIT


@pytest.mark.parametrize("field", [b"event: ", b"id: "])
def test_types_and_ids_count_against_the_limit(field: bytes) -> None:
    """A type or an id as long as the limit leaves no room for data."""
    decoder = SseDecoder(max_event_bytes=100)
    assert decoder.feed(field + b"x" * 90 + b"\n") == []
    with pytest.raises(EventTooLarge):
        decoder.feed(b"data: 12345\n")


def test_what_is_not_held_never_reaches_the_limit() -> None:
    """Comments, unknown fields and blank lines may come for ever."""
    decoder = SseDecoder(max_event_bytes=100)
    for line in (b": ping\n", b"nonsense: x\r\n", b"\n", b"\r", b"retry: 10\n", b"event: x\n\n"):
        assert decoder.feed(line * 100_000) == []
    assert decoder.feed(b"data: a\n\n") == [SseEvent("a")]


@pytest.mark.parametrize("size", range(1, 12))
def test_the_limit_is_the_same_however_the_bytes_are_split(size: int) -> None:
    """An event of exactly the limit passes in any pieces, and one byte more never does."""
    for extra, is_refused in ((b"", False), (b"x", True)):
        stream = b": a comment\n\ndata: 12345\ndata:\ndata: 123456" + extra + b"\n\ndata: 1\n\n"
        decoder, events = SseDecoder(max_event_bytes=19), []
        try:
            for piece in cut(stream, size):
                events += decoder.feed(piece)
        except EventTooLarge:
            assert is_refused
        else:
            assert not is_refused
            assert events == [SseEvent("12345\n\n123456"), SseEvent("1")]


@pytest.mark.parametrize("unit", [b"data:\n", b"x", b"data: x\r\n"])
def test_each_piece_costs_no_more_than_its_own_bytes(unit: bytes) -> None:
    """Four times the bytes take four times the memory traffic: what is held already is not copied again for a piece."""
    few, many = (work_of(SseDecoder().feed, cut(unit * count, 3)).taken for count in (5_000, 20_000))
    assert many < 6 * few


_ALPHABET = [b"data:", b"data: ", b"data", b"event: ", b"id: ", b":", b" ", b"x", b"\n", b"\n", b"\n\n", b"\r", b"\r\n"]
_ODD = [b"\xef\xbb\xbf", b"\xe4\xb8\xad", b"\xff", b"\xe4", b"\0", "\u2028".encode(), b"{}"]


@given(st.lists(st.sampled_from(_ALPHABET + _ODD), max_size=40), st.data())
def test_any_stream_in_any_pieces_gives_what_the_standard_says(parts: list[bytes], draw: st.DataObject) -> None:
    """Whatever the bytes and however they are split, the events are those of the plain algorithm."""
    stream = b"".join(parts)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decoded(*pieces) == reference(stream)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(stream: bytes) -> None:
    """The decoder takes any bytes."""
    assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == decoded(stream)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_foreign_line_that_is_asked_for_is_an_event(size: int) -> None:
    """A foreign line ends the event before it; other unknown fields, comments and known fields are read as ever."""
    stream = b": oops\nretry: 1\nfoo: bar\ndata: a\noops: {\ndata: b\n\nevent: end\n\n"
    decoder = SseDecoder(is_foreign=lambda line: line.startswith(b"oops"))
    given = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])]
    assert given == [SseEvent("a"), SseEvent("oops: {", FOREIGN_LINE), SseEvent("b"), SseEvent("", "end")]


@pytest.mark.parametrize("stream", [b"event: e\ndata: a", b"event: e\ndata: a\n", b"event: e\r\ndata: a\r"])
def test_the_rest_of_a_body_is_its_last_event(stream: bytes) -> None:
    """Whether its last line has ended or not; nothing is left after that."""
    decoder = SseDecoder()
    assert decoder.feed(stream) == []
    assert decoder.rest() == [SseEvent("a", "e")]
    assert decoder.rest() == []
