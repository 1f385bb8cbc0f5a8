"""The provider `ollama`, from a request to a call and from lines to chunks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import (
    REQUEST,
    STREAMS,
    PlayedAnswer,
    PlayedTransport,
    failure_of,
    json_of_fields,
    played,
    recorded,
)
from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.chunk import ProviderFailure
from worker.dialects.ollama import Ollama
from worker.upstream.ndjson import MAX_LINE_BYTES
from worker.upstream.source import open_chunks

OLLAMA = Ollama("ollama/*", "http://ollama.example:11434/", "")
NAMES = sorted(path.stem for path in (STREAMS / "ollama").glob("*.ndjson"))
TRUNCATED = [{"type": "failure", "kind": "truncated", "is_retryable": True}]


def body_of(**fields: Any) -> dict[str, Any]:
    request = parse_request(json.dumps(fields).encode())
    body: dict[str, Any] = json.loads(OLLAMA.call(request, "ollama/llama3.2:3b").body)
    return body


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        json_of_fields(
            "message content thinking tool_calls function name arguments id done done_reason error eval_count code"
        ),
        max_size=4,
    )
)
def test_no_json_breaks_the_provider(values: list[Any]) -> None:
    """Any JSON in a line, with the fields' names in the wrong places, gives chunks or a ProviderFailure."""
    stream = "".join(f"{json.dumps(value)}\n" for value in values).encode()
    for chunk in played([stream], provider=OLLAMA):
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")


def test_a_line_without_end_is_a_failure() -> None:
    """A line without an end is a failure before it fills the memory."""
    piece = b"x" * (1 << 20)
    expected = [{"type": "failure", "kind": "malformed", "is_retryable": False}]
    assert played([piece] * (MAX_LINE_BYTES // len(piece) + 1), provider=OLLAMA) == expected


def test_the_call_asks_for_a_stream() -> None:
    """The request as Ollama wants it; what is not given is not sent, the options included."""
    call = OLLAMA.call(REQUEST, "ollama/hf.co/org/model:q4")
    assert call.url == "http://ollama.example:11434/api/chat"
    assert call.headers["Accept"] == "application/x-ndjson"
    assert call.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in call.headers
    assert json.loads(call.body) == {
        "model": "hf.co/org/model:q4",
        "messages": [{"role": "user", "content": "Tell me of the sea, at length."}],
        "stream": True,
    }


def test_a_key_is_sent_where_there_is_one() -> None:
    """Ollama's cloud wants one; and it does not show in a repr."""
    cloud = Ollama("ollama/*", "https://ollama.example", "secret-key")
    call = cloud.call(REQUEST, "ollama/m")
    assert call.headers["Authorization"] == "Bearer secret-key"
    assert "secret" not in f"{cloud!r} {call!r}"


def test_the_call_carries_every_option() -> None:
    """Sampling goes into the options; tools as they came; a schema is the format itself."""
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    sent = body_of(
        prompt="x",
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        stop="END",
        seed=7,
        tools=[tool],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        reasoning_effort="high",
    )
    assert sent == {
        "model": "llama3.2:3b",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "options": {"num_predict": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7},
        "tools": [tool],
        "format": {"type": "object"},
        "think": "high",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stop": ["a", "b"]}, {"options": {"stop": ["a", "b"]}}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}),
        ({"response_format": {"type": "text"}}, {}),
        ({"reasoning_effort": "none"}, {"think": False}),
        ({"reasoning_effort": "minimal"}, {"think": "low"}),
        ({"extra": {"keep_alive": "5m", "format": "json"}}, {"keep_alive": "5m", "format": "json"}),
        ({"seed": 1, "extra": {"options": {"num_ctx": 8192, "seed": 2}}}, {"options": {"num_ctx": 8192, "seed": 1}}),
    ],
)
def test_options_are_mapped(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """What Ollama calls otherwise; `extra` goes beside what is ours, in its options, too, and overrides none of it."""
    sent = body_of(prompt="x", **fields)
    assert {name: value for name, value in sent.items() if name not in {"model", "messages", "stream"}} == expected


def test_a_conversation_with_tools_and_images_is_mapped() -> None:
    """Arguments as objects, results by the name of their function, images as bare base64."""
    sent = body_of(
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is "},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                    {"type": "text", "text": "this?"},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "function": {"name": "f", "arguments": '{"a": [1]}'}},
                    {"id": "c2", "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"role": "tool", "content": "two", "tool_call_id": "c2"},
            {"role": "tool", "content": "whose?", "tool_call_id": "c9"},
        ]
    )
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": ["aGk="]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "function": {"name": "f", "arguments": {"a": [1]}}},
                {"id": "c2", "function": {"name": "g", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "two", "tool_call_id": "c2", "tool_name": "g"},
        {"role": "tool", "content": "whose?", "tool_call_id": "c9"},
    ]


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '{"a": NaN}', '"secret words"'])
def test_earlier_arguments_that_are_no_object_are_rejected(arguments: str) -> None:
    """Arguments that are no object cannot be sent; the failure does not quote them."""
    call = {"id": "c1", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(ProviderFailure, match="rejected") as raised:
        body_of(messages=[{"role": "assistant", "tool_calls": [call]}])
    assert "secret" not in str(raised.value)
    assert not raised.value.failure.is_retryable


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": "x", "tools": [{"function": {"name": "f"}}], "tool_choice": "required"}, "tool_choice"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}],
                    }
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_what_ollama_lacks_is_refused_at_submission(fields: dict[str, Any], named: str) -> None:
    """By the name of the field."""
    with pytest.raises(InvalidRequest) as raised:
        check_dialect(parse_request(json.dumps(fields).encode()), "ollama")
    assert [fault.field for fault in raised.value.faults] == [named]


def test_an_older_server_is_asked_to_think_without_saying_how_hard() -> None:
    """Once, at once."""
    words = b'{"error":"json: cannot unmarshal string into Go struct field ChatRequest.think of type bool"}'
    transport = PlayedTransport(PlayedAnswer([words], status=400), PlayedAnswer([recorded("text", "ollama")[0]]))
    request = GenerationRequest(prompt="x", reasoning_effort="low")
    with open_chunks(OLLAMA, request, "ollama/m", transport) as lists:
        list(lists)
    assert [json.loads(call.body)["think"] for call in transport.calls] == ["low", True]


@pytest.mark.parametrize(
    ("effort", "words"),
    [("low", b'{"error":"\\"m\\" does not support thinking"}'), ("none", b'{"error":"cannot unmarshal string"}')],
)
def test_another_complaint_changes_nothing(effort: Any, words: bytes) -> None:
    """The client asked for what the model cannot do, and gets that answer; what is no word is not made one."""
    request = GenerationRequest(prompt="x", reasoning_effort=effort)
    assert failure_of(PlayedAnswer([words], status=400), request=request, provider=OLLAMA).failure.kind == "rejected"


@pytest.mark.parametrize(
    ("status", "words", "kind", "is_retryable", "said"),
    [
        (404, b'{"error":"model \'nope\' not found"}', "rejected", False, "model 'nope' not found"),
        (400, b'{"error":"\\"m\\" does not support thinking"}', "rejected", False, "does not support thinking"),
        (500, b'{"error":"model requires more system memory"}', "unavailable", True, "more system memory"),
        (503, b'{"error":"server busy, please try again."}', "overloaded", True, "server busy"),
        (429, b'{"error":"too many requests"}', "rate_limited", True, "too many"),
        (401, b'{"error":"unauthorized","signin_url":"https://x"}', "rejected", False, "refused the key"),
        (502, b"<html>Bad gateway</html>", "unavailable", True, "a web page"),
        (200, b'{"error":"out of memory"}\n', "unavailable", True, "out of memory"),
    ],
)
def test_an_error_becomes_its_failure(status: int, words: bytes, kind: str, is_retryable: bool, said: str) -> None:
    """With the provider's words and its status."""
    failure = failure_of(PlayedAnswer([words], status=status), provider=OLLAMA).failure
    assert (failure.kind, failure.is_retryable, failure.provider_status) == (kind, is_retryable, status)
    assert said in failure.message


@pytest.mark.parametrize("end", [{"done": "true"}, {"done": 1}, {"done_reason": "stop"}])
def test_a_last_line_in_other_words_ends_the_answer(end: dict[str, Any]) -> None:
    """Some gateways write `true` as text or as a number, or leave it to the reason."""
    lines = [{"message": {"content": "Hi"}, "done": False}, {"message": {"content": ""}, **end}]
    chunks = played(["".join(f"{json.dumps(line)}\n" for line in lines).encode()], provider=OLLAMA)
    assert [chunk["reason"] for chunk in chunks if not isinstance(chunk, str) and chunk["type"] == "finish"] == ["stop"]


def test_equal_calls_on_two_lines_are_two_calls() -> None:
    """Each call comes whole, so that the same one again is one more: a die may be thrown twice."""
    call = {"message": {"tool_calls": [{"function": {"name": "roll", "arguments": {}}}]}, "done": False}
    stream = "".join(f"{json.dumps(line)}\n" for line in (call, call, {"done": True})).encode()
    found = [chunk for chunk in played([stream], provider=OLLAMA) if chunk["type"] == "tool_call" and "name" in chunk]
    assert [(each["index"], each["name"]) for each in found] == [(0, "roll"), (1, "roll")]
    assert len({each["id"] for each in found}) == 2
