"""Log elements: each is one line of JSON that comes back as it was, and tells what it is by its first bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.jobs.job import CLOSED, Failure, FailureKind, FinishReason, Usage
from tokentail.log.element import (
    Citation,
    Code,
    CustomToolCall,
    End,
    Event,
    Media,
    ProviderToolCall,
    Reasoning,
    Refusal,
    Skipped,
    Start,
    Submitted,
    ToolCall,
    ToolResult,
    decode,
    encode,
    is_token,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
counts = st.none() | st.integers(0, 10**9)
failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    texts,
    st.booleans(),
    st.none() | st.integers(100, 599),
    st.none() | texts,
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Submitted, texts, st.dictionaries(texts, texts, max_size=3)),
    st.builds(Start, texts, texts, texts),
    st.builds(Reasoning, texts),
    st.builds(ToolCall, st.integers(0, 100), texts, texts, texts),
    st.builds(ToolCall, st.integers(0, 100), arguments=texts),
    st.builds(CustomToolCall, st.integers(0, 100), texts, texts, texts),
    st.builds(ProviderToolCall, texts, texts, texts),
    st.builds(ToolResult, texts, texts, texts, st.booleans()),
    st.builds(Code, texts, texts, texts),
    st.builds(Media, st.integers(0, 100), st.sampled_from(["image", "audio"]), texts, texts),
    st.builds(Citation, texts, texts, texts, st.integers(0, 100), st.integers(0, 100)),
    st.builds(Skipped, texts, texts, st.integers(0, 100)),
    st.builds(Refusal, texts),
    st.builds(
        End,
        st.sampled_from(sorted(CLOSED)),
        st.none() | st.sampled_from(FinishReason),
        st.none() | texts,
        st.none() | st.builds(Usage, counts, counts, counts, counts),
        st.none() | failures,
    ),
)


@given(texts)
def test_a_token_comes_back_as_it_was(text: str) -> None:
    """Whatever is in it: quotes, line ends, U+2028, NUL, half of an emoji's sequence."""
    element = encode(text)
    assert decode(element) == text == json.loads(element)
    assert is_token(element)


@given(events)
def test_an_event_is_an_object_with_a_type(event: Event) -> None:
    """An event's type comes first, which is how the scripts and readers know the end."""
    element = encode(event)
    value = json.loads(element)
    assert decode(element) == value
    assert next(iter(value)) == "type"
    assert not is_token(element)
    assert element.startswith(b'{"type":"end"') == isinstance(event, End)


@given(texts | events)
def test_an_element_is_one_line(element: str | Event) -> None:
    """News is published one element a line."""
    assert b"\n" not in encode(element)
    assert b"\r" not in encode(element)


@pytest.mark.parametrize("text", ["\ud83d", "\ude00 rest", "a\udc80"])
def test_a_lone_surrogate_cannot_be_written(text: str) -> None:
    """Writers join pairs that were split over two chunks first."""
    with pytest.raises(UnicodeEncodeError):
        encode(text)


def test_a_token_that_looks_like_an_end_is_a_token() -> None:
    """No text can close a log."""
    element = encode('{"type":"end"}')
    assert is_token(element)


def test_a_failure_says_only_what_is_known() -> None:
    """Absent facts are absent; its kind is called `type`."""
    element = encode(Failure(FailureKind.TIMEOUT, "slow"))  # type: ignore[arg-type]
    assert json.loads(element) == {"type": "timeout", "message": "slow"}


def test_an_end_says_null_where_there_is_nothing_to_say() -> None:
    """Clients can rely on its fields being there."""
    value = decode(encode(End(sorted(CLOSED)[0])))
    assert set(value) == {"type", "status", "finish_reason", "provider_reason", "usage", "error", "provider_request_id"}
