"""A word that a field does not take is refused with those that it takes."""

import json
from typing import Any

import pytest

from tokentail.errors import InvalidRequest
from tokentail.jobs.request import parse_request


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x", **fields}]}


def part(**fields: Any) -> dict[str, Any]:
    return message(content=[fields])


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (message(role="bot"), "messages[0].role", "system developer user assistant tool"),
        (part(type="image", url="x"), "messages[0].content[0].type", "text image_url file input_audio"),
        (
            part(type="image_url", image_url={"url": "https://x.example/", "detail": "best"}),
            "messages[0].content[0].image_url.detail",
            "auto low high original",
        ),
        ({"prompt": "x", "reasoning_effort": "huge"}, "reasoning_effort", "none minimal low medium high xhigh max"),
        ({"prompt": "x", "tool_choice": "any"}, "tool_choice", "auto none required"),
        ({"prompt": "x", "on_abandon": "stop"}, "on_abandon", "cancel"),
        ({"prompt": "x", "response_format": {"type": "xml"}}, "response_format.type", "text json_object json_schema"),
    ],
)
def test_the_words_are_named(body: dict[str, Any], field: str, words: str) -> None:
    """In whatever order; and the client's own word is not repeated."""
    with pytest.raises(InvalidRequest) as refused:
        parse_request(json.dumps(body).encode())
    (fault,) = refused.value.faults
    begun, _, named = fault.message.partition(": ")
    assert (fault.field, begun) == (field, "not one of the values that this field takes")
    assert set(named.split(", ")) == set(words.split())
