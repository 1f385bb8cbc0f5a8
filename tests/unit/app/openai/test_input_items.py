"""The list of a response's input items is what OpenAI's own SDK declares, however short the items were sent."""

from typing import Any

import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from app.openai.input_items import listed_items

_ITEM: TypeAdapter[ResponseItem] = TypeAdapter(ResponseItem)
_ASKED = {"id": "in_j_0", "type": "message", "status": "completed", "role": "user"}
_ANSWERED = {**_ASKED, "role": "assistant"}
_TEXT = {"type": "input_text", "text": "Hi"}
_SAID = {"type": "output_text", "annotations": [], "text": "Hi"}


@pytest.mark.parametrize(
    ("sent", "listed"),
    [
        ({"role": "user", "content": "Hi"}, {**_ASKED, "content": [_TEXT]}),
        ({"role": "developer", "content": "Hi"}, {**_ASKED, "role": "developer", "content": [_TEXT]}),
        ({"type": None, "id": None, "role": "user", "content": [_TEXT]}, {**_ASKED, "content": [_TEXT]}),
        ({"role": "assistant", "content": "Hi"}, {**_ANSWERED, "content": [_SAID]}),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}, {**_ANSWERED, "content": [_SAID]}),
        (
            {
                "id": "msg_1",
                "role": "assistant",
                "status": "incomplete",
                "content": [{"type": "refusal", "refusal": "no"}],
            },
            {**_ANSWERED, "id": "msg_1", "status": "incomplete", "content": [{"type": "refusal", "refusal": "no"}]},
        ),
    ],
)
def test_a_message_has_parts_and_all_that_was_left_out(sent: dict[str, Any], listed: dict[str, Any]) -> None:
    """A text is a part of its own, of the kind that the role has; what was sent stays as it was."""
    assert listed_items("j", [sent]) == [listed]
    _ITEM.validate_python(listed)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "x"},
    ],
)
def test_a_call_has_an_id_and_a_status(item: dict[str, Any]) -> None:
    """Both may be left out of what is sent, and neither out of what is listed."""
    (listed,) = listed_items("j", [item])
    assert listed == {"id": "in_j_0", "status": "completed", **item}
    _ITEM.validate_python(listed)


def test_a_reference_stays_as_it_is() -> None:
    """A reference has the id of what it refers to, and no status."""
    reference = {"type": "item_reference", "id": "msg_1"}
    assert listed_items("j", [reference]) == [reference]
