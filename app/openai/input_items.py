"""The list of a response's input items: the items that the client sent, in the form that OpenAI lists them in. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.openai.body import Fields
from tokentail.errors import Fault, InvalidRequest

_MOST_DIGITS = 18
_MOST_ITEMS = 100  # of one page that has a limit
_WITH_STATUS = {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}


def listed_items(job_id: str, items: Sequence[Fields]) -> list[Fields]:
    """The items with ids, and with what their senders may leave out; programs and SDKs read it without asking."""
    return [_listed(item, f"in_{job_id}_{n}") for n, item in enumerate(items)]


def page_of(items: Sequence[Fields], query: Mapping[str, str]) -> dict[str, Any]:
    """The page of a list that the query asks for: `order`, `after` and `limit`; without a limit, all of it."""
    order, limit, after = query.get("order", "desc"), query.get("limit", ""), query.get("after")
    if order not in {"asc", "desc"}:
        raise InvalidRequest(Fault("order", "is asc or desc"))
    if limit and not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:_MOST_DIGITS]) <= _MOST_ITEMS):
        raise InvalidRequest(Fault("limit", f"is a whole number from 1 to {_MOST_ITEMS}"))
    rest = list(items) if order == "asc" else list(reversed(items))
    if after is not None:
        places = [n for n, item in enumerate(rest) if item["id"] == after]
        if not places:
            raise InvalidRequest(Fault("after", "is the id of an item of this list"))
        rest = rest[places[0] + 1 :]
    page = rest[: int(limit)] if limit else rest
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, **ends, "has_more": len(page) < len(rest)}


def _listed(item: Fields, made_id: str) -> Fields:
    given = {name: value for name, value in item.items() if value is not None}
    kind = str(given.get("type") or "message")
    status = {"status": "completed"} if kind in _WITH_STATUS else {}
    listed = {"id": made_id, **status, **given, "type": kind}
    if kind == "message":
        listed["content"] = _parts(given.get("content", []), is_answer=given.get("role") == "assistant")
    return listed


def _parts(content: Any, *, is_answer: bool) -> list[Any]:
    """The parts of a message's content, which may be sent as a string."""
    made = {"type": "output_text", "annotations": []} if is_answer else {"type": "input_text"}
    if isinstance(content, str):
        return [{**made, "text": content}]
    return [{**made, **part} if part.get("type") == made["type"] else part for part in content]
