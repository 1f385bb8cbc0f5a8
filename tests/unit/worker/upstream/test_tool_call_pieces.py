"""Tool calls come out as readers can join them, however a server cuts, numbers and repeats their pieces."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tokentail.log.element import CustomToolCall, ToolCall
from worker.chunk import Chunk
from worker.upstream.deltas import Deltas
from worker.upstream.tool_call_pieces import ToolCallPieces

Piece = tuple[Any, Any, Any, Any]  # number, id, name, arguments


def chunks_of(*lists: list[Piece]) -> list[Chunk]:
    """What comes out of these lists of pieces, one list an event."""
    deltas = Deltas()
    calls = ToolCallPieces(deltas)
    found: list[Chunk] = []
    for pieces in lists:
        calls.begin_list(len(pieces))
        for piece in pieces:
            found += calls.piece(*piece)
    return [*found, *deltas.at_finish(), *deltas.rest()]


def joined(chunks: list[Chunk]) -> list[tuple[str, str, Any]]:
    """The calls as a naive reader joins them: names, ids and arguments by index."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        assert isinstance(chunk, ToolCall)
        assert (chunk.id is UNSET) == (chunk.name is UNSET) == (chunk.index in calls)
        call = calls.setdefault(chunk.index, ["", "", ""])
        for at, text in enumerate((chunk.id or "", chunk.name or "", chunk.arguments)):
            call[at] += text
    assert all(call_id for call_id, _, _ in calls.values())
    return [(calls[at][0], calls[at][1], json.loads(calls[at][2])) for at in sorted(calls)]


ONE = [("a", "read", {"p": 1})]
MADE = ""


@pytest.mark.parametrize(
    ("lists", "calls"),
    [
        # the name in each piece, late, in pieces, and as far as it has come
        ([[(0, "a", "read", "")], [(0, "a", "read", '{"p":')], [(0, None, "read", "1}")]], ONE),
        ([[(0, "a", None, "")], [(0, "a", "", '{"p":')], [(0, None, "read", "1}")]], ONE),
        ([[(0, "a", "re", "")], [(0, None, "ad", '{"p":1}')]], ONE),
        ([[(0, "a", "re", "")], [(0, "a", "read", '{"p":1}')]], ONE),
        # ids that are new with each piece, and numbers that count the pieces
        ([[(0, "a", "read", '{"p":')], [(0, "b", "", "1}")]], ONE),
        ([[(0, "a", "read", '{"p":')], [(0, "b", "read", "1}")]], ONE),
        ([[(None, "a", "read", '{"p":')], [(None, "b", "", "1}")]], ONE),
        ([[(0, "a", "read", '{"p":')], [(1, "a", "", "1}")]], ONE),
        # arguments again, whole
        ([[(0, "a", "read", '{"p":')], [(0, None, None, "1}")], [(0, "a", "read", '{"p":1}')]], ONE),
        ([[(0, "a", "read", '{"p":')], [(0, None, None, "1}")], [(0, None, None, '{"p":1}')]], ONE),
        ([[(0, "a", "read", '{"p":')], [(0, None, None, "1}")], [(0, "", "read", '{ "p": 1 }')]], ONE),
        ([[(0, "a", "read", '{"p":')], [(0, None, None, "1}")], [(0, "b", "", {"p": 1})]], ONE),
        # two pieces in one list, numbers as text, arguments as JSON
        ([[(0, "a", "read", '{"p":'), (0, None, None, "1}")]], ONE),
        ([[(0, "a", "read", '{"p":'), (0, "a", "read", "1}")]], ONE),
        ([[("0", "a", "read", '{"p":')], [("0", None, None, "1}")]], ONE),
        ([[(0.0, "a", "read", '{"p":')], [(0, None, None, "1}")]], ONE),
        ([[(0, "a", "read", {"p": 1})]], ONE),
        # no arguments at first, or at all
        ([[(0, "a", "read", "{}")], [(0, None, None, '{"p":')], [(0, None, None, "1}")]], ONE),
        ([[(0, "a", "read", "null")], [(0, None, None, '{"p":1}')]], ONE),
        ([[(0, "a", "read", None)]], [("a", "read", {})]),
        ([[(0, "a", "read", "")]], [("a", "read", {})]),
        ([[(0, "a", "read", "null")]], [("a", "read", {})]),
        ([[(0, "a", "read", " { ")], [(0, "a", "read", "}")]], [("a", "read", {})]),
        ([[(0, "a", "read", [1, 2])], [(1, "b", "read", 5)]], [("a", "read", [1, 2]), ("b", "read", 5)]),
        # several calls: numbered 0, without ids, in one list or in several
        ([[(0, "", "f", '{"a":1}'), (0, "", "g", '{"b":2}')]], [(MADE, "f", {"a": 1}), (MADE, "g", {"b": 2})]),
        ([[(0, "", "f", '{"a":1}')], [(0, "", "g", '{"b":2}')]], [(MADE, "f", {"a": 1}), (MADE, "g", {"b": 2})]),
        ([[(0, "null", "f", {"a": 1}), (0, "null", "f", {"a": 1})]], [(MADE, "f", {"a": 1})] * 2),
        ([[(None, None, "f", "{}")], [(None, None, "f", '{"b":2}')]], [(MADE, "f", {}), (MADE, "f", {"b": 2})]),
        ([[(0, "", "f", ""), (0, "", "g", "")]], [(MADE, "f", {}), (MADE, "g", {})]),
        ([[(0, "c", "f", "{}")], [(0, "d", "f", '{"n":2}')]], [("c", "f", {}), ("d", "f", {"n": 2})]),
        ([[(0, "x", "f", '{"a":1}')], [(1, "x", "g", '{"b":2}')]], [("x", "f", {"a": 1}), (MADE, "g", {"b": 2})]),
        # pieces of several calls in turn, by number, by id, and by their place in the list
        (
            [[(0, "a", "f", '{"a":')], [(1, "b", "g", '{"b":')], [(0, None, None, "1}")], [(1, None, None, "2}")]],
            [("a", "f", {"a": 1}), ("b", "g", {"b": 2})],
        ),
        (
            [[(0, "a", "f", "")], [(0, "b", "g", "")], [(0, "a", None, '{"a":1}')], [(0, "b", None, '{"b":2}')]],
            [("a", "f", {"a": 1}), ("b", "g", {"b": 2})],
        ),
        (
            [[(None, None, "f", ""), (None, None, "g", "")], [(None, None, None, '{"a":1}'), (None, None, None, "{}")]],
            [(MADE, "f", {"a": 1}), (MADE, "g", {})],
        ),
        (
            [[(0, "a", "", '{"a":')], [(1, "b", "g", "{}")], [(0, "", "f", "1}")]],
            [("a", "f", {"a": 1}), ("b", "g", {})],
        ),
    ],
)
def test_pieces_join_to_whole_calls(lists: list[list[Piece]], calls: list[tuple[str, str, Any]]) -> None:
    """The first piece of a call has id and name, the later ones have neither, and the arguments join to JSON."""
    found = joined(chunks_of(*lists))
    assert [(call_id if call_id in {"a", "b", "c", "d", "x"} else MADE, *rest) for call_id, *rest in found] == calls


def test_calls_without_ids_get_one_each() -> None:
    """The next turn refers to a call by its id, so that two calls must not have the same."""
    first, second = joined(chunks_of([(0, "", "f", "{}"), (0, "", "f", "{}")]))
    assert first[0] != second[0]
    assert joined(chunks_of([(0, "", "f", "{}"), (0, "", "f", "{}")])) == [first, second]


def test_a_custom_tool_has_text_and_no_json() -> None:
    """The input of a custom tool is taken as it is."""
    deltas = Deltas()
    calls = ToolCallPieces(deltas)
    pieces = ["{}", " or null", "}", ""]
    found = [chunk for piece in pieces for chunk in calls.piece(0, "a", "sql", piece, is_custom=True)]
    found += deltas.rest()
    assert found == [
        CustomToolCall(0, "a", "sql", "{}"),
        CustomToolCall(0, input=" or null"),
        CustomToolCall(0, input="}"),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.data(), st.booleans(), st.booleans())
def test_arguments_cut_anywhere_are_whole(value: Any, draw: st.DataObject, is_ascii: bool, is_repeated: bool) -> None:
    """Wherever the arguments are cut, in the midst of an escape or of a character, they join to what was sent."""
    text = json.dumps(value, ensure_ascii=is_ascii, indent=draw.draw(st.sampled_from([None, 1])))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    lists: list[list[Piece]] = [[(0, "a", "f", piece)] for piece in (*pieces, *[text] * is_repeated)]
    assert joined(chunks_of(*lists)) == [("a", "f", value)]
