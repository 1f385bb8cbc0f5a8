"""Several JSON objects in one event or on one line: each is read, in every dialect."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_recorded_streams import PROVIDERS
from tests.unit.worker.recorded_streams import every_split, played
from tests.unit.worker.upstream.test_cumulative_pieces import STREAM_OF
from worker.upstream.glued_objects import objects_apart

OBJECTS = st.dictionaries(
    st.text(st.sampled_from('{}"\\:[] d'), max_size=6), st.text(st.sampled_from('{}"\\'), max_size=6)
)
EVENT_STREAMS = sorted(PROVIDERS.keys() - {"ollama"})
SAID = ["} the", " {sea", '}{"']


def text_of(dialect: str, pieces: list[bytes]) -> str:
    """The text of an answer that is whole."""
    chunks = played(pieces, provider=PROVIDERS[dialect])
    others = [chunk["type"] for chunk in chunks if not isinstance(chunk, str)]
    assert {"finish"} <= {*others} <= {"finish", "usage", "terminal"}
    return "".join(chunk for chunk in chunks if isinstance(chunk, str))


@given(st.lists(OBJECTS, min_size=1, max_size=4), st.sampled_from(["", "\n", " ", "data: ", "\ndata:"]))
def test_objects_are_taken_apart(objects: list[dict[str, str]], seam: str) -> None:
    """Whatever their strings hold, and whatever of an event stream stands between them."""
    texts = [json.dumps(each) for each in objects]
    assert objects_apart(seam.join(texts)) == texts


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1', "words", '{"a": 1} and more'])
def test_what_is_no_row_of_objects_is_kept_whole(text: str) -> None:
    """Nothing of the text is lost."""
    assert "".join(objects_apart(text)).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("seam", [b"\ndata: ", b"data: ", b"", b" "])
@pytest.mark.parametrize("dialect", EVENT_STREAMS)
def test_events_without_a_blank_line_between_them_are_all_read(dialect: str, seam: bytes) -> None:
    """To the end of the body, however the bytes are split."""
    stream = STREAM_OF[dialect](*SAID).replace(b"\n\ndata: ", seam)
    for pieces in every_split(stream):
        assert text_of(dialect, pieces) == "".join(SAID)
    assert text_of(dialect, [stream.rstrip(b"\n")]) == "".join(SAID), "nor one at the end"


def test_an_end_marker_in_the_event_of_the_last_object_counts() -> None:
    """The marker ends the answer, also where the line's end is missing."""
    stream = STREAM_OF["openai_chat"](*SAID)
    for seam in (b"\ndata: [DONE]\n\n", b"[DONE]\n\n"):
        assert played([stream.rstrip() + seam])[-1] == {"type": "terminal"}


@pytest.mark.parametrize("seam", [b"", b" "])
def test_several_objects_on_one_line_are_all_read(seam: bytes) -> None:
    """Ollama's objects stand on a line each; a gateway may lose the line's end."""
    stream = STREAM_OF["ollama"](*SAID).replace(b"\n", seam)
    for pieces in every_split(stream):
        assert text_of("ollama", pieces) == "".join(SAID)


@pytest.mark.parametrize("dialect", EVENT_STREAMS)
def test_lines_of_json_in_the_place_of_an_event_stream_are_read(dialect: str) -> None:
    """Some gateways answer in the form of Ollama, whatever they were asked for."""
    stream = STREAM_OF[dialect](*SAID).replace(b"data: ", b"").replace(b"\n\n", b"\n")
    for pieces in every_split(stream):
        assert text_of(dialect, pieces) == "".join(SAID)


@pytest.mark.parametrize("dialect", EVENT_STREAMS)
@pytest.mark.parametrize("name", [b"\xef\xbb\xbfdata", b"Data", b" data", b"data "])
def test_a_name_of_a_field_that_is_nearly_data_is_data(dialect: str, name: bytes) -> None:
    """The standard takes it for an unknown field, and the text would be lost without a word."""
    stream = STREAM_OF[dialect](*SAID).replace(b"data", name)
    assert text_of(dialect, [stream]) == "".join(SAID)


def test_an_event_stream_in_the_place_of_lines_is_read() -> None:
    """With comments, pings and an end marker, from a gateway that knows one form only."""
    stream = STREAM_OF["ollama"](*SAID).replace(b"{", b"data: {", 1).replace(b"\n{", b"\n\ndata: {")
    pings = b": keep-alive\n\nping\n\n"
    for pieces in every_split(pings + stream.replace(b"\n\n", b"\n\n" + pings) + b"\ndata: [DONE]\n\n"):
        assert text_of("ollama", pieces) == "".join(SAID)
