"""Chat Completions' requests: what real clients send is taken, and what cannot be kept is refused in their words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.openai.body import fields_of
from app.openai.chat_request import ChatRequest, chat_request
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.request import encode_request

STATE = {"dialect": "openai_chat", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}
HI = [{"role": "user", "content": "Hi"}]


def asked(dialect: str = "openai_chat", **fields: Any) -> ChatRequest:
    body = json.dumps({"model": "m", "messages": HI, **fields}).encode()
    return chat_request(fields_of(body), "p/m", dialect)


def ours(dialect: str = "openai_chat", **fields: Any) -> dict[str, Any]:
    """The request as it is stored."""
    stored: dict[str, Any] = json.loads(encode_request(asked(dialect, **fields).request))
    return stored


def refused(dialect: str = "openai_chat", **fields: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as raised:
        asked(dialect, **fields)
    return [fault.field for fault in raised.value.faults]


def faults_of(dialect: str, fields: dict[str, Any]) -> tuple[Fault, ...]:
    """What is wrong with the request; nothing where it is taken."""
    try:
        asked(dialect, **fields)
    except InvalidRequest as error:
        return error.faults
    return ()


def test_what_clients_leave_out_may_be_null_or_empty() -> None:
    """Null is absent everywhere; empty tools, stops, calls and parts too. Defaults that change nothing are taken."""
    plain = ours()
    assert plain == {"model": "p/m", "messages": HI}
    nothing: dict[str, Any] = dict.fromkeys(("temperature", "tools", "stop", "response_format", "user", "n", "seed"))
    assert ours(**nothing) == plain
    assert ours(tools=[], stop=[], n=1, logprobs=False, modalities=["text"], service_tier="auto") == plain
    assert ours("anthropic", n=1, parallel_tool_calls=True, tool_choice="auto") == plain


def test_the_first_of_two_limits_wins() -> None:
    """`max_completion_tokens` is the newer name; a fault of the limit has the name that the client sent."""
    assert ours(max_tokens=5)["max_tokens"] == 5
    assert ours(max_tokens=5, max_completion_tokens=7)["max_tokens"] == 7
    assert refused(max_completion_tokens=0) == ["max_completion_tokens"]
    assert refused(max_tokens="x") == ["max_tokens"]


def test_an_earlier_answer_comes_back_with_all_that_it_held() -> None:
    """Fields of an assistant's message that we have no use for are left out; reasoning goes back."""
    call = {"id": "c", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}"}}
    answer = {
        **{"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None, "name": "x"},
        **{"function_call": None, "reasoning_content": "hm", "tool_calls": [call], "provider_state": STATE},
    }
    tool = {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "\x1b[1m7\x1b[0m"}], "name": "f"}
    messages = ours(messages=[*HI, answer, tool])["messages"]
    assert messages[1]["reasoning_content"] == "hm"
    assert messages[1]["provider_state"] == STATE
    assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert messages[2]["content"] == [{"type": "text", "text": "[1m7[0m"}]
    refusal = [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]
    assert ours(messages=[*HI, *refusal])["messages"][1]["content"] == [{"type": "text", "text": "No."}]


def test_a_schema_keeps_its_nulls() -> None:
    """In a JSON Schema null is a value."""
    parameters = {"type": "object", "properties": {"a": {"default": None}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": None}}
    assert ours(tools=[tool])["tools"][0]["function"] == {"name": "f", "parameters": parameters}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": []}, "functions"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_a_refusal_names_the_clients_own_field(fields: dict[str, Any], named: str) -> None:
    """A program finds its fault by `param`."""
    assert named in refused(**fields)


def test_fields_for_the_provider_go_where_its_dialect_is_the_clients_own() -> None:
    """Such fields may be all that the user came for: elsewhere they are refused by name. Users go as digests."""
    assert ours(frequency_penalty=0.5, top_k=3)["extra"] == {"frequency_penalty": 0.5, "top_k": 3}
    assert refused("gemini", frequency_penalty=0.5, top_k=3) == ["frequency_penalty", "top_k"]
    assert refused("gemini", frequency_penalty=False, logit_bias=0) == ["frequency_penalty", "logit_bias"]
    user = ours(user="alice@example.org")["extra"]["user"]
    assert len(user) == 32
    assert "alice" not in user


def test_defaults_that_clients_send_by_themselves_are_no_wish() -> None:
    """A penalty of nothing asks for nothing: models without penalties take it, and those with them receive it."""
    defaults: dict[str, Any] = {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}}
    assert "extra" not in ours("anthropic", **defaults)
    assert ours(**defaults)["extra"] == defaults


def test_the_origin_is_no_field_of_a_client() -> None:
    """What an interface keeps beside a request cannot be set from outside."""
    assert "origin" in refused("gemini", origin={"interface": "x"})


WORDS = st.sampled_from(
    ["", "user", "text", "type", "role", "a\x1b[1m", "\ud800", "content", "json_schema", "function"]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    *("messages", "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format", "metadata", "n"),
    *("max_tokens", "max_completion_tokens", "reasoning_effort", "stream", "stream_options", "store", "logprobs"),
    *("user", "modalities", "audio", "logit_bias", "functions", "parallel_tool_calls", "origin"),
)


@given(st.dictionaries(st.sampled_from(NAMES), ANY_JSON, max_size=4), st.sampled_from(["openai_chat", "anthropic"]))
def test_any_value_of_any_field_is_taken_or_refused(fields: dict[str, Any], dialect: str) -> None:
    """Nothing that a client sends is a fault of the server, and every refusal says what to do."""
    assert all(fault.message for fault in faults_of(dialect, fields))


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "refusal", "type"]), ANY_JSON), max_size=3
    )
)
def test_any_message_is_taken_or_refused(messages: list[Any]) -> None:
    """Messages of any shape, too."""
    assert all(fault.message for fault in faults_of("openai_chat", {"messages": messages}))


def test_what_a_dialect_lacks_has_the_clients_name() -> None:
    """The limit is named as it was sent, and a field of ours that their body does not have is not mentioned."""
    assert refused("anthropic", seed=5) == ["seed"]
    assert refused("anthropic", temperature=1.5) == ["temperature"]


def test_a_custom_tools_call_comes_back() -> None:
    """Answers of this server hold such calls, so the next turn may hold them too."""
    call = {"id": "c", "type": "custom", "custom": {"name": "g", "input": "pl\x1bain"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c", "content": "1"}
    (kept,) = ours(messages=[*HI, turn, result])["messages"][1]["tool_calls"]
    assert kept == {"id": "c", "type": "custom", "custom": {"name": "g", "input": "plain"}}


@pytest.mark.parametrize("name", ["tools", "stop", "response_format", "user", "safety_identifier"])
def test_what_is_empty_but_of_the_wrong_type_is_refused(name: str) -> None:
    """Empty lists and texts mean nothing; zero and false are mistakes."""
    for wrong in (0, False):
        fields: dict[str, Any] = {name: wrong}
        assert refused(**fields)[0].startswith(name)


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic"])
def test_the_user_is_ours_whatever_the_provider(dialect: str) -> None:
    """Either of OpenAI's fields names the user of the job, the newer one first; an empty one names nobody."""
    assert ours(dialect, user="ann")["user"] == "ann"
    assert ours(dialect, safety_identifier="ann", user="bob")["user"] == "ann"
    assert ours(dialect, safety_identifier="", user="bob")["user"] == "bob"
    assert "user" not in ours(dialect, user="")


@pytest.mark.parametrize("name", ["user", "safety_identifier"])
def test_a_user_that_cannot_be_kept_is_refused_by_the_name_that_was_sent(name: str) -> None:
    """Too long a name, control characters, and what is no text at all."""
    for wrong in ("u" * 129, "a\x00", "\ud800"):
        fields: dict[str, Any] = {name: wrong}
        assert refused(**fields) == [name]
