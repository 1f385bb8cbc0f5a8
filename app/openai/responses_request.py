"""The map from a Responses body to our request, or to a refusal in the client's own words. Pure.

What the response must repeat, and what our request has no field for, is kept beside the request as its origin.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.openai.body import (
    Fields,
    flag,
    list_of_objects,
    object_of,
    plain,
    plain_throughout,
    renamed,
    request_of,
    text_or_fault,
)
from app.openai.responses_items import Earlier, answer_message, job_of_response, messages_of, place_of_item
from app.openai.users import as_digests, user_faults, user_field
from tokentail.errors import Fault, InvalidRequest, ReferenceNotFound
from tokentail.jobs.body import refuse
from tokentail.jobs.readable_fault import printable
from tokentail.jobs.request import GenerationRequest

_OURS = ("temperature", "top_p", "metadata")
_OWN = frozenset(
    {
        *("model", "input", "instructions", "previous_response_id", "max_output_tokens", "reasoning", "text", "tools"),
        *("tool_choice", "stream", "background", "store", "stream_options", "include", "truncation"),
    }
)
# What another dialect may ignore without harm.
_OPTIONAL = frozenset(
    {
        *("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls"),
        *("service_tier", "prompt_cache_options"),
    }
)
_REFUSED = {
    "conversation": "is not served here; send previous_response_id or the whole input",
    "prompt": "stored prompts are not served here; send instructions and input",
    "context_management": "is not served here",
    "background_options": "is not served here",
    "max_tool_calls": "is not served here",
    "moderation": "is not served here",
    "top_logprobs": "the log keeps no probabilities",
}
_INCLUDES = frozenset({"reasoning.encrypted_content"})
_OF_MESSAGE = re.compile(r"^messages\[(\d{1,6})\](.*)$", re.DOTALL)
_NESTED = re.compile(
    r"\.tool_calls\[\d+\](\.(function|custom)\b)?|(?<=\])\.(function|custom)\b"
    r"|(?<=^tool_choice)\.(function|custom)\b|(?<=^response_format)\.json_schema\b"
)
_ECHOED = (
    *("instructions", "max_output_tokens", "parallel_tool_calls", "previous_response_id", "reasoning", "text"),
    *("tools", "tool_choice", "truncation", "user", "include", "service_tier"),
)


@dataclass(frozen=True)
class ResponsesRequest:
    """What a Responses body asks."""

    request: GenerationRequest
    is_stream: bool
    is_background: bool
    is_stored: bool


def earlier_jobs(fields: Mapping[str, Any]) -> set[str]:
    """The ids of the jobs that the body refers to, whose answers `responses_request` needs."""
    found = {_previous_job(fields)}
    if isinstance(items := fields.get("input"), list):
        for item in items:
            name = item.get("id") if isinstance(item, dict) and item.get("type") == "item_reference" else None
            if isinstance(name, str) and (place := place_of_item(name)):
                found.add(place[0])
    return {job_id for job_id in found if job_id}


def responses_request(fields: Fields, model: str, dialect: str, earlier: Mapping[str, Earlier]) -> ResponsesRequest:
    """The request in these fields (`fields_of` a body) for a model of this dialect.

    `earlier` has the jobs that `earlier_jobs` named, as far as they are there. Raises InvalidRequest, and
    ReferenceNotFound for one that is named and not there.
    """
    refuse(_faults(fields, dialect))
    items = _items(fields.get("input", []))
    ours: Fields = {name: fields[name] for name in _OURS if name in fields}
    ours["model"] = model
    turns = [
        *(("instructions", message) for message in _instructions(fields)),
        *(("previous_response_id", message) for message in _previous_messages(fields, earlier)),
        *((_place(fields, n), message) for n, message in messages_of(items, earlier)),
    ]
    ours["messages"] = [message for _, message in turns]
    if "max_output_tokens" in fields:
        ours["max_tokens"] = fields["max_output_tokens"]
    if "effort" in (reasoning := object_of(fields, "reasoning")):
        ours["reasoning_effort"] = reasoning["effort"]
    if form := _response_format(object_of(fields, "text")):
        ours["response_format"] = form
    if tools := list_of_objects(fields.get("tools", []), "tools"):
        ours["tools"] = [_tool(tool) for tool in tools]
    choice = fields.get("tool_choice")
    if choice is not None and (tools or choice not in ("auto", "none")):
        ours["tool_choice"] = _tool_choice(choice)
    if user := fields.get(user_field(fields)):
        ours["user"] = user
    if extra := _extra(fields, dialect):
        ours["extra"] = extra
    is_background, is_stored = flag(fields, "background"), flag(fields, "store", default=True)
    if is_background and not is_stored:
        raise InvalidRequest(Fault("store", "a background response must be stored; leave store out"))
    echo = {name: plain_throughout(fields[name]) for name in _ECHOED if name in fields}
    origin = {**echo, "interface": "responses", "background": is_background, "store": is_stored, "input": items}
    theirs = _named_as_sent([place for place, _ in turns], user_field(fields))
    request = request_of({**ours, "origin": origin}, dialect, theirs)
    return ResponsesRequest(request, flag(fields, "stream"), is_background, is_stored)


def _place(fields: Mapping[str, Any], n: int) -> str:
    return "input" if isinstance(fields["input"], str) else f"input[{n}]"


def _named_as_sent(places: Sequence[str], user: str) -> Callable[[str], str]:
    """Names a field of ours as the client does. `places` says of each of our messages what it was made of.

    `user` is the field that names the user.
    """
    names = {"max_tokens": "max_output_tokens", "reasoning_effort": "reasoning.effort", "messages": "input"}
    by_first_name = renamed({**names, "response_format": "text.format", "user": user})

    def theirs(path: str) -> str:
        if path.startswith("origin."):  # what is kept as it was sent
            return path.removeprefix("origin.")
        # What we nest, they write flat.
        flat = _NESTED.sub("", path).replace(".tool_call_id", ".call_id")
        found = _OF_MESSAGE.match(flat)
        if found is None or int(found[1]) >= len(places):
            return by_first_name(flat)
        place = places[int(found[1])]
        return f"{place}{found[2]}" if place.startswith("input[") else place

    return theirs


def _faults(fields: Mapping[str, Any], dialect: str) -> Iterator[Fault]:
    yield from user_faults(fields)
    known = {*_OWN, *_OURS, *_OPTIONAL}
    for name, value in fields.items():
        if name in _REFUSED and not (name == "top_logprobs" and value == 0):
            yield Fault(name, _REFUSED[name])
        elif name not in known and name not in _REFUSED and dialect != "openai_responses":
            yield Fault(printable(name), "this model's provider does not take this field; leave it out")
    if fields.get("truncation", "disabled") != "disabled":
        yield Fault("truncation", "only disabled is served here")
    included = fields.get("include", [])
    if not isinstance(included, list):
        yield Fault("include", "is an array")
    elif wrong := [n for n, each in enumerate(included) if not isinstance(each, str)]:
        yield Fault(f"include[{wrong[0]}]", "is a string")
    elif dialect != "openai_responses" and (lacking := [each for each in included if each not in _INCLUDES]):
        yield Fault("include", f"{printable(lacking[0][:80])} is not served for this model")
    previous = fields.get("previous_response_id")
    if previous is not None and _previous_job(fields) is None:
        yield Fault("previous_response_id", "is not the id of a response of this server")


def _previous_job(fields: Mapping[str, Any]) -> str | None:
    previous = fields.get("previous_response_id")
    return job_of_response(previous) if isinstance(previous, str) else None


def _items(given: Any) -> list[Any]:
    """The input as items, which `input_items` returns later."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": plain(given)}]}]
    if not isinstance(given, list) or not given:
        raise InvalidRequest(Fault("input", "send a string, or an array with one item or more"))
    items: list[Any] = plain_throughout(given)
    return items


def _instructions(fields: Mapping[str, Any]) -> Iterator[Fields]:
    if instructions := text_or_fault(fields.get("instructions", ""), "instructions"):
        yield {"role": "system", "content": instructions}


def _previous_messages(fields: Mapping[str, Any], earlier: Mapping[str, Earlier]) -> list[Fields]:
    job_id = _previous_job(fields)
    if job_id is None:
        return []
    found = earlier.get(job_id)
    if found is None:
        raise ReferenceNotFound(Fault("previous_response_id", "Previous response not found, or its content is gone"))
    if found.answer.end is None:
        raise InvalidRequest(Fault("previous_response_id", "this response has not ended yet"))
    answered = answer_message(found.answer)
    return [*found.messages, *([answered] if answered else [])]


def _response_format(text: Fields) -> Fields | None:
    form = object_of(text, "format", "text")
    if not form or form.get("type") == "text":
        return None
    if form.get("type") != "json_schema":
        return form
    names = ("name", "schema", "strict", "description")
    return {"type": "json_schema", "json_schema": {name: form[name] for name in names if name in form}}


def _tool(tool: Fields) -> Fields:
    """A flat function as ours; any other tool is the provider's matter."""
    if tool.get("type") != "function":
        return tool
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in names if name in tool}}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if isinstance(choice, dict) and choice.get("type") == "custom":
        return {"type": "custom", "custom": {"name": choice.get("name")}}
    return choice


def _extra(fields: Mapping[str, Any], dialect: str) -> Fields:
    """What goes to the provider as it is, where its dialect is the client's own."""
    if dialect != "openai_responses":
        return {}
    extra = {n: v for n, v in fields.items() if n not in _OWN and n not in _OURS and n not in _REFUSED}
    reasoning = {n: v for n, v in object_of(fields, "reasoning").items() if n != "effort"}
    text = {n: v for n, v in object_of(fields, "text").items() if n != "format"}
    extra |= {"reasoning": reasoning} if reasoning else {}
    extra |= {"text": text} if text else {}
    if include := fields.get("include"):
        extra["include"] = include
    return as_digests(extra)
