"""Items of Responses, there and back: the input's items as our messages, an answer's items as theirs. Pure.

An item's id holds its job, so a client may send back nothing but a reference; the text is in the job's log.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.http.openai_routes import RESPONSE
from app.openai.answer import Answer, Call, Item, Picture, Reasoning, Refusal, Text
from app.openai.body import Fields, plain, text_or_fault
from app.openai.chat_answer import url_citation
from tokentail.errors import Fault, InvalidRequest, ReferenceNotFound
from tokentail.identifiers import is_job_id
from tokentail.jobs.readable_fault import printable

ID_PREFIX = "resp_"
_ITEM_ID = re.compile(r"(?:rs|msg|fc|ctc|ig)_([0-9a-z]{26})_([0-9]{1,6})", re.ASCII)
_KINDS = {Text: "msg", Refusal: "msg", Reasoning: "rs", Call: "fc", Picture: "ig"}


def response_id(job_id: str) -> str:
    """The response's id, which holds the job's."""
    return ID_PREFIX + job_id


def response_path(job_id: str) -> str:
    """Where the response is read."""
    return RESPONSE.format(response_id=response_id(job_id))


def job_of_response(text: str) -> str | None:
    """The job of a response's id; None for another id."""
    job_id = text.removeprefix(ID_PREFIX)
    return job_id if text.startswith(ID_PREFIX) and is_job_id(job_id) else None


def place_of_item(text: str) -> tuple[str, int] | None:
    """(job, place in its output) of an item's id; None for another id."""
    found = _ITEM_ID.fullmatch(text)
    return (found[1], int(found[2])) if found and is_job_id(found[1]) else None


def item_id(job_id: str, item: Item, place: int) -> str:
    """The id of the item at this place of a job's output."""
    kind = "ctc" if isinstance(item, Call) and item.is_custom else _KINDS[type(item)]
    return f"{kind}_{job_id}_{place}"


# -- an answer's items as theirs --------------------------------------------------------------------------------------


def output_item(job_id: str, item: Item, place: int, status: str, *, with_state: bool) -> dict[str, Any]:
    """The item as a response's `output` has it. `with_state` adds what the provider wants back, as its secret."""
    head = {"id": item_id(job_id, item, place)}
    if isinstance(item, Text | Refusal):
        return {**head, "type": "message", "status": status, "role": "assistant", "content": [content_part(item)]}
    if isinstance(item, Reasoning):
        summary = [{"type": "summary_text", "text": item.text}] if item.text else []
        state = (
            {} if item.provider_state is None or not with_state else {"encrypted_content": packed(item.provider_state)}
        )
        return {**head, "type": "reasoning", "status": status, "summary": summary, **state}
    if isinstance(item, Picture):
        return {**head, "type": "image_generation_call", "status": status, "result": item.data or item.url}
    called = {"status": status, "call_id": item.id, "name": item.name}
    if item.is_custom:
        return {**head, "type": "custom_tool_call", **called, "input": item.arguments}
    arguments = item.arguments or ("{}" if status == "completed" else "")
    return {**head, "type": "function_call", **called, "arguments": arguments}


def content_part(item: Text | Refusal) -> dict[str, Any]:
    """The one part of a message."""
    if isinstance(item, Refusal):
        return {"type": "refusal", "refusal": item.text}
    annotations = [annotation(each, item.start) for each in item.citations]
    return {"type": "output_text", "text": item.text, "annotations": annotations, "logprobs": []}


def annotation(citation: Mapping[str, Any], start: int) -> dict[str, Any]:
    """A source as an annotation of the part whose text begins at character `start` of the answer."""
    found = url_citation(citation)
    shifted = {name: max(found[name] - start, 0) for name in ("start_index", "end_index")}
    return {"type": "url_citation", **found, **shifted}


def packed(state: Any) -> str:
    """What the provider wants back, as one string."""
    return base64.b64encode(msgspec.json.encode(state)).decode()


def _unpacked(text: Any) -> Any:
    """What `packed` packed; None for anything else, such as the secret of another service."""
    try:
        state = msgspec.json.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError, msgspec.DecodeError):
        return None
    return state if isinstance(state, dict) and "dialect" in state else None


# -- the input's items as our messages --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Earlier:
    """An earlier job that the input names: its messages without its instructions, and its answer."""

    messages: Sequence[Fields]
    answer: Answer


def answer_message(answer: Answer) -> Fields | None:
    """An answer as one message of the assistant; None for an empty one."""
    return next((turn for _, turn in _joined((0, _item_message(item)) for item in answer.items)), None)


def messages_of(items: Sequence[Any], earlier: Mapping[str, Earlier]) -> list[tuple[int, Fields]]:
    """The messages that the input's items stand for, each with the place of its first item.

    `earlier` has the jobs that items refer to. Raises InvalidRequest, naming the item, and ReferenceNotFound.
    """
    return list(_joined((n, _message(item, f"input[{n}]", earlier)) for n, item in enumerate(items)))


def _joined(messages: Iterator[tuple[int, Fields | None]]) -> Iterator[tuple[int, Fields]]:
    """Neighbours of one turn of the assistant as one message: reasoning, text and calls."""
    turn: tuple[int, Fields] | None = None
    for n, message in messages:
        if message is None:
            continue
        if message["role"] == "assistant":
            turn = (n, message) if turn is None else (turn[0], _both(turn[1], message))
            continue
        if turn is not None:
            yield turn[0], _whole(turn[1])
        turn = None
        yield n, message
    if turn is not None:
        yield turn[0], _whole(turn[1])


def _whole(turn: Fields) -> Fields:
    """A turn as our request has it: text may be missing only beside tool calls."""
    whole = {name: value for name, value in turn.items() if value not in (None, "")}
    return {**whole, "content": whole.get("content") or (None if "tool_calls" in whole else "")}


def _both(turn: Fields, message: Fields) -> Fields:
    both = {**turn, **message}
    for name in ("content", "reasoning_content"):
        if turn.get(name) and message.get(name):
            both[name] = _text_after(turn[name], message[name])
        elif turn.get(name) or message.get(name):
            both[name] = turn.get(name) or message.get(name)
    if calls := [*turn.get("tool_calls", ()), *message.get("tool_calls", ())]:
        both["tool_calls"] = calls
    return both


def _text_after(first: Any, second: Any) -> Any:
    """Two contents as one: text where both are, else parts."""
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [
        part
        for content in (first, second)
        for part in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
    ]


def _message(item: Any, where: str, earlier: Mapping[str, Earlier]) -> Fields | None:
    if not isinstance(item, dict):
        raise InvalidRequest(Fault(where, "is an object"))
    kind = str(item.get("type") or "message")
    if kind == "message":
        return {"role": item.get("role"), "content": _content(item.get("content", ""), f"{where}.content")}
    if kind == "item_reference":
        return _referred(item, where, earlier)
    if kind == "function_call":
        arguments = text_or_fault(item.get("arguments", ""), f"{where}.arguments")
        return _called("function", item.get("call_id"), {"name": item.get("name"), "arguments": arguments})
    if kind == "custom_tool_call":
        given = text_or_fault(item.get("input", ""), f"{where}.input")
        return _called("custom", item.get("call_id"), {"name": item.get("name"), "input": given})
    if kind in {"function_call_output", "custom_tool_call_output"}:
        output = _content(item.get("output", ""), f"{where}.output")
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}
    if kind == "reasoning":
        return _thought(item)
    raise InvalidRequest(Fault(f"{where}.type", "is not an item that this server takes"))


def _referred(item: Fields, where: str, earlier: Mapping[str, Earlier]) -> Fields | None:
    name = item.get("id", "")
    place = place_of_item(name) if isinstance(name, str) else None
    found = earlier.get(place[0]) if place else None
    if found is not None and found.answer.end is None:
        raise InvalidRequest(Fault(f"{where}.id", "the response of this item has not ended yet"))
    if found is None or place is None or place[1] >= len(found.answer.items):
        raise ReferenceNotFound(Fault(f"{where}.id", f"Item with id {printable(str(name)[:80])!r} not found"))
    return _item_message(found.answer.items[place[1]])


def _item_message(item: Item) -> Fields | None:
    if isinstance(item, Text | Refusal):
        return {"role": "assistant", "content": item.text}
    if isinstance(item, Reasoning):
        state = {} if item.provider_state is None else {"provider_state": item.provider_state}
        return {"role": "assistant", "content": None, "reasoning_content": item.text, **state}
    if isinstance(item, Call):
        state = {} if item.provider_state is None else {"provider_state": item.provider_state}
        kind, text = ("custom", "input") if item.is_custom else ("function", "arguments")
        arguments = item.arguments or ("" if item.is_custom else "{}")
        return _called(kind, item.id, {"name": item.name, text: arguments}, state)
    return None


def _called(kind: str, call_id: Any, call: Fields, state: Fields | None = None) -> Fields:
    """A turn of the assistant that is one call."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"type": kind, "id": call_id, kind: call, **(state or {})}],
    }


def _thought(item: Fields) -> Fields | None:
    """Reasoning that goes back: our own secret holds what the provider wants."""
    parts = item.get("summary")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    state = _unpacked(item.get("encrypted_content"))
    text = "\n\n".join(plain(text) for text in texts if isinstance(text, str))
    if not text and state is None:
        return None
    return {
        "role": "assistant",
        "content": None,
        "reasoning_content": text,
        **({} if state is None else {"provider_state": state}),
    }


def _content(content: Any, where: str) -> Any:
    if isinstance(content, str):
        return plain(content)
    if not isinstance(content, list):
        raise InvalidRequest(Fault(where, "is a string or an array of parts"))
    parts = [_part(part, f"{where}[{n}]") for n, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return [part for part in parts if part["type"] != "text" or part["text"]]


def _part(part: Any, where: str) -> Fields:
    if not isinstance(part, dict):
        raise InvalidRequest(Fault(where, "is an object"))
    kind = str(part.get("type"))
    if kind in {"input_text", "output_text", "text", "summary_text"}:
        return {"type": "text", "text": text_or_fault(part.get("text", ""), f"{where}.text")}
    if kind == "refusal":
        return {"type": "text", "text": text_or_fault(part.get("refusal", ""), f"{where}.refusal")}
    if kind == "input_image":
        detail = {"detail": part["detail"]} if "detail" in part else {}
        return {"type": "image_url", "image_url": {"url": part.get("image_url"), **detail}}
    if kind == "input_file":
        names = ("file_data", "file_url", "file_id", "filename")
        return {"type": "file", "file": {name: part[name] for name in names if name in part}}
    raise InvalidRequest(Fault(f"{where}.type", "is not a part that this server takes"))
