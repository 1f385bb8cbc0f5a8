"""The request: bodies become a request, or an error that names each field at fault, and nothing else ever."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from tokentail.errors import Fault, InvalidRequest, MalformedBody
from tokentail.jobs.request import GenerationRequest, decode_request, digest, encode_request, parse_request


def parse(value: object) -> GenerationRequest:
    return parse_request(json.dumps(value).encode())


def fault_fields(value: object) -> list[str]:
    """The fields named by what is wrong with `value`."""
    with pytest.raises(InvalidRequest) as refused:
        parse(value)
    return [fault.field for fault in refused.value.faults]


def test_a_prompt_is_one_message_of_the_user() -> None:
    """The two ways to ask come to the same."""
    request = parse({"prompt": "why"})
    assert request.conversation() == [{"role": "user", "content": "why"}]
    assert request.model is UNSET


def test_messages_are_passed_on_as_they_came() -> None:
    """Roles, tool calls and their answers."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "why"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "because", "tool_call_id": "1"},
    ]
    assert parse({"messages": messages}).conversation() == messages


def test_every_field_can_be_given() -> None:
    """A request comes back from the store as it was."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "description": "d"}}
    request = parse(
        {
            "prompt": "why",
            "model": "demo",
            "max_tokens": 5,
            "temperature": 0,
            "top_p": 1,
            "stop": ["a", "b"],
            "tools": [tool],
            "metadata": {"k": "v"},
        }
    )
    assert request.stop == ["a", "b"]
    assert decode_request(encode_request(request)) == request


def test_text_may_hold_whatever_is_text() -> None:
    """Tab, line feed, carriage return, every language, emoji, and a pair of surrogates written as escapes."""
    assert parse_request(b'{"prompt": "\\t\\n\\r \\ud83d\\ude00 \\u2028"}').prompt == "\t\n\r 😀 \u2028"


ONE_FAULT: list[tuple[str, Any]] = [
    ("prompt", {}),
    ("prompt", {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}),
    ("prompt", {"prompt": ""}),
    ("prompt", {"prompt": None}),
    ("prompt", {"prompt": 1}),
    ("prompt", {"prompt": ["a"]}),
    ("prompt", {"prompt": "a\x00b"}),
    ("prompt", {"prompt": "a\x1b[0m"}),
    ("prompt", {"prompt": "a\x7f"}),
    ("prompt", {"prompt": "a\ud800"}),
    ("prompt", {"prompt": "\udc00a"}),
    ("messages", {"messages": []}),
    ("messages", {"messages": "why"}),
    ("messages", {"messages": None}),
    ("messages[0]", {"messages": ["why"]}),
    ("messages[0].role", {"messages": [{"content": "a"}]}),
    ("messages[0].role", {"messages": [{"role": "boss", "content": "a"}]}),
    ("messages[0].content", {"messages": [{"role": "user"}]}),
    ("messages[0].content", {"messages": [{"role": "user", "content": None}]}),
    ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
    ("messages[1].content", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant"}]}),
    ("messages[0].content", {"messages": [{"role": "user", "content": "a\x00"}]}),
    ("messages[0].name", {"messages": [{"role": "user", "content": "a", "name": "b"}]}),
    ("messages[0].tool_call_id", {"messages": [{"role": "tool", "content": "a"}]}),
    ("messages[0].tool_call_id", {"messages": [{"role": "user", "content": "a", "tool_call_id": "1"}]}),
    ("messages[0].tool_calls", {"messages": [{"role": "user", "content": "a", "tool_calls": []}]}),
    ("model", {"prompt": "a", "model": ""}),
    ("model", {"prompt": "a", "model": "m" * 201}),
    ("model", {"prompt": "a", "model": 1}),
    ("max_tokens", {"prompt": "a", "max_tokens": 0}),
    ("max_tokens", {"prompt": "a", "max_tokens": 1.5}),
    ("max_tokens", {"prompt": "a", "max_tokens": "5"}),
    ("max_tokens", {"prompt": "a", "max_tokens": True}),
    ("max_tokens", {"prompt": "a", "max_tokens": 10**30}),
    ("max_tokens", {"prompt": "a", "max_tokens": None}),
    ("temperature", {"prompt": "a", "temperature": -0.1}),
    ("temperature", {"prompt": "a", "temperature": 2.1}),
    ("temperature", {"prompt": "a", "temperature": "hot"}),
    ("top_p", {"prompt": "a", "top_p": 0}),
    ("top_p", {"prompt": "a", "top_p": 1.01}),
    ("stop", {"prompt": "a", "stop": ""}),
    ("stop", {"prompt": "a", "stop": []}),
    ("stop", {"prompt": "a", "stop": ["a"] * 17}),
    ("tools", {"prompt": "a", "tools": []}),
    ("tools[0].function", {"prompt": "a", "tools": [{"type": "function"}]}),
    ("tools[0].type", {"prompt": "a", "tools": [{"type": "web", "function": {"name": "f"}}]}),
    ("tools[0].function.name", {"prompt": "a", "tools": [{"function": {"name": "no spaces"}}]}),
    ("metadata", {"prompt": "a", "metadata": "m"}),
    ("metadata", {"prompt": "a", "metadata": {"k" * 65: "v"}}),
    ("metadata", {"prompt": "a", "metadata": {"k": "v" * 513}}),
    ("metadata", {"prompt": "a", "metadata": {str(n): "v" for n in range(17)}}),
    ("stream", {"prompt": "a", "stream": True}),
    ("n", {"prompt": "a", "n": 2}),
    ("promt", {"promt": "a"}),
]


@pytest.mark.parametrize(("field", "value"), ONE_FAULT, ids=[f"{n}-{field}" for n, (field, _) in enumerate(ONE_FAULT)])
def test_what_is_wrong_is_named_by_its_field(field: str, value: Any) -> None:
    """Nulls, wrong types, bounds, unknown fields, control characters and lone surrogates."""
    assert fault_fields(value) == [field]


def test_a_metadata_value_of_the_wrong_type_names_the_metadata() -> None:
    """Which of the entries it is, msgspec does not tell."""
    (field,) = fault_fields({"prompt": "a", "metadata": {"k": 1}})
    assert field.startswith("metadata")


def test_several_faults_are_named_together() -> None:
    """All characters that may not be there, wherever they are."""
    value = {"prompt": "\x00", "stop": ["a", "\x01"], "metadata": {"\x02": "v", "k": "\x03"}}
    assert fault_fields(value) == ["prompt", "stop[1]", "metadata.\N{REPLACEMENT CHARACTER}", "metadata.k"]


@pytest.mark.parametrize("value", [None, 1, "why", [], True, [{"prompt": "a"}]])
def test_a_body_that_is_no_object_is_told_so(value: object) -> None:
    """The fault is the body's, not a field's, and says what to send."""
    with pytest.raises(InvalidRequest, match="send an object") as refused:
        parse(value)
    assert [fault.field for fault in refused.value.faults] == [""]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"why",
        b"{'prompt': 'a'}",
        b'{"prompt": "a"} {}',
        b'{"prompt": "a",}',
        b'{"temperature": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": -Infinity}',
        b'{"temperature": 1e999}',
        b'{"max_tokens": ' + b"9" * 5000 + b"}",
        b'{"prompt": "\xff"}',
        '{"prompt": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf" + b'{"prompt": "a"}',
        b'{"prompt": "a\nb"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=range(18),
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """NaN, infinities, numbers without end, other encodings and bottomless nesting included."""
    with pytest.raises(MalformedBody):
        parse_request(body)


def test_nesting_has_a_limit_that_is_told() -> None:
    """JSON that could be parsed, but not by everybody who gets it later."""
    deep: Any = "x"
    for _ in range(70):
        deep = {"a": deep}
    tool = {"function": {"name": "f", "parameters": deep}}
    (field,) = fault_fields({"prompt": "a", "tools": [tool]})
    assert field.startswith("tools[0].function.parameters.a.a")


SECRET = "sesame-open-the-door"


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": SECRET + "\x00"},
        {"prompt": [SECRET]},
        {"messages": [{"role": SECRET, "content": "a"}]},
        {"messages": [{"role": "user", "content": {"text": SECRET}}]},
        {"prompt": "a", "stop": [SECRET, 1]},
        {"prompt": "a", "model": SECRET * 20},
        {"prompt": "a", "tools": [{"type": SECRET, "function": {"name": "f"}}]},
        {"prompt": "a", "tools": [{"function": {"name": SECRET + " "}}]},
        {"prompt": "a", "metadata": {"k": SECRET * 50}},
    ],
)
def test_a_fault_never_repeats_a_value(value: Any) -> None:
    """Prompts must not come back in errors, which end up in logs."""
    with pytest.raises(InvalidRequest) as refused:
        parse(value)
    assert SECRET not in str(refused.value)


def test_malformed_bodies_are_not_repeated_either() -> None:
    """The error names only the place at which reading failed."""
    with pytest.raises(MalformedBody) as refused:
        parse_request(f'{{"prompt": "{SECRET}'.encode())
    assert SECRET not in str(refused.value)


def test_equal_requests_have_one_digest_however_they_were_written() -> None:
    """Order, spaces and escapes do not count; what is asked does."""
    one = parse_request(b'{"prompt":"a","metadata":{"x":"1","y":"2"},"temperature":1}')
    same = parse_request(b'{ "temperature": 1.0, "metadata": {"y":"2","x":"1"}, "prompt": "\\u0061" }')
    other = parse_request(b'{"prompt":"a","metadata":{"x":"1","y":"2"},"temperature":0}')
    assert digest(one) == digest(same)
    assert digest(one) != digest(other)


# -- whatever comes in -----------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["system", "user", "assistant", "tool", "boss"]) | anything,
            "content": st.text(max_size=8) | anything,
            "tool_calls": anything,
            "tool_call_id": st.text(max_size=4) | anything,
        },
    )
    | anything,
    max_size=3,
)
near_requests = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.text(max_size=8) | anything,
        "messages": messages | anything,
        "model": st.text(max_size=8) | anything,
        "max_tokens": st.integers() | anything,
        "temperature": st.floats() | anything,
        "stop": st.lists(st.text(max_size=3)) | anything,
        "tools": st.lists(anything, max_size=2) | anything,
        "metadata": st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2) | anything,
        "stream": anything,
    },
)


def is_request_or_told(body: bytes) -> None:
    """Parsing gives a request that can be stored, or one of the two errors, printable and naming what is wrong."""
    faults: tuple[Fault, ...] = ()
    try:
        request = parse_request(body)
    except MalformedBody as error:
        faults = (Fault("", str(error)),)
    except InvalidRequest as error:
        faults = error.faults
    if faults:
        assert all(fault.message for fault in faults)
        assert all((fault.field + fault.message).encode() for fault in faults)  # can be sent back
    else:
        assert decode_request(encode_request(request)) == request
        assert request.conversation()


@given(near_requests | anything)
@example({"prompt": "a", "metadata": {"\ud800": "v"}})
@example({"\ud800": 1})
@example({"messages": [{"role": "user\ud800", "content": "a"}]})
def test_any_json_is_a_request_or_told(value: object) -> None:
    """Almost-requests with one thing wrong, and things that are nothing like one."""
    is_request_or_told(json.dumps(value).encode())


@given(st.binary())
def test_any_bytes_are_a_request_or_told(body: bytes) -> None:
    """A crash here would be a 500 for everybody's mistakes."""
    is_request_or_told(body)


def test_every_field_at_fault_is_named_at_once() -> None:
    """A client with three mistakes learns of three."""
    assert fault_fields({"prompt": 1, "temperature": "x", "colour": 1}) == ["prompt", "temperature", "colour"]


_BAD = ["\x7f"] * 10_000


def nested(value: Any, name: str, levels: int) -> Any:
    for _ in range(levels):
        value = {name: value}
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": _BAD},
        nested(_BAD, "k" * 200, 60),
        {f"k{i}": 1 for i in range(10_000)},
        {"messages": [{"role": "user", "content": None}] * 2000},
    ],
    ids=["many", "many far inside", "many unknown fields", "many messages"],
)
def test_what_is_told_of_faults_does_not_grow_with_the_body(value: Any) -> None:
    """The first twenty are named, with a path that can be read, and that there are more; else a small body would make
    an answer of hundreds of megabytes."""
    with pytest.raises(InvalidRequest) as refused:
        parse(value)
    *named, more = refused.value.faults
    assert len(named) == 20
    assert (more.field, "more" in more.message) == ("", True)
    assert max(len(fault.field) for fault in named) <= 301
    assert len(str(refused.value)) < 10_000


def test_twenty_faults_are_all() -> None:
    """That there are more is only said when there are."""
    assert fault_fields({"prompt": ["\x7f"] * 20}) == [f"prompt[{i}]" for i in range(20)]


def test_an_unknown_name_is_told_in_no_time_however_long_it_is() -> None:
    """Even one that looks like a thousand beginnings of what is searched for in a complaint."""
    began = time.process_time()
    (field,) = fault_fields({"prompt": "a", " - at `$" * 20_000 + "\n": 1})
    assert time.process_time() - began < 2
    assert len(field) <= 200


def test_control_characters_of_the_second_kind_are_refused_too() -> None:
    """Terminals obey them like the first."""
    assert fault_fields({"prompt": "a\x9bb"}) == ["prompt"]
