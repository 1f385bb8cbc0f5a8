"""UI messages of the AI SDK become messages of a request, or a refusal that names the part at fault."""

import json
from typing import Any

import pytest

from app.ai_sdk.chat_request import chat_request, continued_by
from app.ai_sdk.ui_messages import messages_of
from tests.unit.app.ai_sdk.cases import CASES
from tokentail.errors import InvalidRequest
from tokentail.jobs.request import encode_request

TEXT = [{"type": "text", "text": "Hi"}]
USER = {"id": "u", "role": "user", "parts": TEXT}
ANSWER = {"id": "a", "role": "assistant", "parts": TEXT}


def result_of(output: Any) -> dict[str, Any]:
    """An answer in which a tool had this output."""
    return {**ANSWER, "parts": [{"type": "tool-x", "toolCallId": "1", "state": "output-available", "output": output}]}


def body(**fields: Any) -> bytes:
    return json.dumps({"id": "chat", "trigger": "submit-message", "messages": [USER], **fields}).encode()


@pytest.mark.parametrize("case", CASES["messages"], ids=lambda case: case["name"])
def test_messages_become_ours(case: dict[str, Any]) -> None:
    """As the cases have it, which pages share."""
    assert messages_of(case["ui"]) == case["ours"]


@pytest.mark.parametrize("chat_id", ["a/b", "a?b", "a#b", "100%", "", 7])
def test_an_id_that_no_address_could_resume_is_refused(chat_id: Any) -> None:
    """The SDK puts the id into the addresses of resuming and stopping as it is."""
    with pytest.raises(InvalidRequest) as refused:
        chat_request(body(id=chat_id))
    assert [fault.field for fault in refused.value.faults] == ["id"]


def test_everything_else_is_a_field_of_a_submission() -> None:
    """Nulls are left out; a field that no submission has is named."""
    asked = chat_request(body(model="demo", temperature=0.5, seed=None, messageId=None))
    assert (asked.chat_id, asked.request.model, asked.request.temperature) == ("chat", "demo", 0.5)
    with pytest.raises(InvalidRequest) as refused:
        chat_request(body(colour="red"))
    assert [fault.field for fault in refused.value.faults] == ["colour"]


@pytest.mark.parametrize(
    ("fields", "message_id"),
    [
        ({}, ""),
        ({"messages": [USER, ANSWER]}, "a"),
        ({"messages": [USER, ANSWER, USER]}, ""),
        ({"messages": [USER, ANSWER, USER], "messageId": "a"}, "a"),
        ({"messages": [USER, ANSWER], "messageId": "u"}, ""),
    ],
)
def test_an_answer_that_continues_a_message_has_the_id_of_that_message(fields: dict[str, Any], message_id: str) -> None:
    """After the results of tools `useChat` goes on with its last message; every other answer is a new message."""
    asked = chat_request(body(**fields))
    assert continued_by(json.loads(encode_request(asked.request)))[0] == message_id


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"origin": {}}, "origin"),
        ({"prompt": "Hi"}, "prompt"),
        ({"messages": "x"}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": []}, "messages"),
        ({"messages": [{**USER, "role": "tool"}]}, "messages[0].role"),
        ({"messages": [{**USER, "role": []}]}, "messages[0].role"),
        ({"messages": [{**USER, "parts": None}]}, "messages[0].parts"),
        ({"messages": [{**USER, "parts": [1]}]}, "messages[0].parts[0]"),
        ({"messages": [{**USER, "parts": [{"type": "text", "text": 5}]}]}, "messages[0].parts"),
        ({"messages": [{**USER, "parts": [{"type": "file"}]}]}, "messages[0].parts[0].url"),
        ({"messages": [{**USER, "parts": [{"type": "file", "url": "x"}]}]}, "messages[0].parts[0].mediaType"),
        ({"messages": [{**USER, "parts": [{"type": {}}]}]}, "messages"),
        ({"messages": [USER, {**ANSWER, "id": 5}]}, "messages"),
        ({"messages": [result_of({"a": "\ud800"})]}, "messages[0].parts.output"),
        ({"messages": [result_of(json.loads('{"a":' * 900 + "1" + "}" * 900))]}, "messages[0].parts.output"),
        (
            {"messages": [{**ANSWER, "parts": [{"type": "tool-x", "state": "output-available", "input": []}]}]},
            "messages[0].parts.toolCallId",
        ),
    ],
)
def test_a_body_that_is_no_chat_is_refused_by_its_field(fields: dict[str, Any], field: str) -> None:
    """Whatever a client sends, the refusal says where the fault is."""
    with pytest.raises(InvalidRequest) as refused:
        chat_request(body(**fields))
    assert field in [fault.field for fault in refused.value.faults]
