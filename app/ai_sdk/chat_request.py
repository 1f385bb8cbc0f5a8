"""The map from the body that `useChat` sends to our request. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from app.ai_sdk.earlier_parts import chunks_of_parts
from app.ai_sdk.ui_messages import messages_of
from app.ai_sdk.ui_stream import Chunk
from app.openai.body import Fields, text_or_fault
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.body import json_value
from tokentail.jobs.request import GenerationRequest, checked_request

_THEIRS = frozenset({"id", "messages", "trigger", "messageId"})  # every other field is one of our request
_MOST_ID = 200  # characters
_OF_ADDRESS = frozenset("/?#%")


@dataclass(frozen=True)
class ChatRequest:
    """What a chat asks."""

    request: GenerationRequest
    chat_id: str


def chat_request(body: bytes) -> ChatRequest:
    """The request in a body. Raises MalformedBody, InvalidRequest."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise InvalidRequest(Fault("", "send a JSON object"))
    chat_id = _id(value.get("id"), "id")
    if not _OF_ADDRESS.isdisjoint(chat_id):  # the SDK puts the id into addresses as it is
        raise InvalidRequest(Fault("id", "is without /, ?, # and %, so that the chat can be resumed by its address"))
    if "origin" in value:
        raise InvalidRequest(Fault("origin", "unknown field; remove it"))
    ours = {name: given for name, given in value.items() if name not in _THEIRS and given is not None}
    request = checked_request({**ours, "messages": messages_of(value.get("messages", []))})
    if (continued := _continued(value)) is not None:
        request = replace(request, origin=_origin(continued))
    return ChatRequest(request, chat_id)


def _continued(body: Mapping[str, Any]) -> Fields | None:
    """The assistant's message that the answer continues, after the results of its tools."""
    messages: list[Fields] = body["messages"]
    meant = next((m for m in messages if m.get("id") == body.get("messageId") is not None), messages[-1])
    return meant if meant.get("role") == "assistant" else None


def _origin(continued: Fields) -> Fields:
    """What the stored request keeps of the message that the answer continues."""
    try:
        earlier = list(chunks_of_parts(continued["parts"]))
        msgspec.json.encode(earlier)
    except (RecursionError, UnicodeEncodeError):
        raise InvalidRequest(Fault("messages", "is nested too deeply, or contains a lone surrogate")) from None
    return {"message_id": _id(continued.get("id"), "messages"), "earlier": earlier}


def continued_by(request: Mapping[str, Any]) -> tuple[str, list[Chunk]]:
    """(id, chunks of its parts) of the message that an answer continues; from the job's stored request.

    The id is empty where the answer is a message of its own.
    """
    origin = request.get("origin") or {}
    return origin.get("message_id", ""), origin.get("earlier", [])


def _id(value: Any, where: str) -> str:
    found = text_or_fault(value, where)
    if not 0 < len(found) <= _MOST_ID:
        raise InvalidRequest(Fault(where, f"has 1 to {_MOST_ID} characters"))
    return found
