"""The map from a Chat Completions body to our request, or to a refusal in the client's own words. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.openai.body import (
    Fields,
    flag,
    list_of_objects,
    object_of,
    plain,
    renamed,
    request_of,
    text_or_fault,
)
from app.openai.users import as_digests, user_faults, user_field
from tokentail.errors import Fault, InvalidRequest
from tokentail.jobs.body import refuse
from tokentail.jobs.readable_fault import printable
from tokentail.jobs.request import GenerationRequest

_OURS = ("temperature", "top_p", "seed", "metadata", "reasoning_effort")
# Accepted where the value changes nothing; clients send such defaults.
_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
}
# What other dialects do not have, and is asked for by clients that send their own defaults.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {"frequency_penalty": (0,), "presence_penalty": (0,), "logit_bias": ({},)}
# What another dialect may ignore without harm.
_OPTIONAL = frozenset(
    {
        *("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "verbosity"),
        *("parallel_tool_calls", "service_tier"),
    }
)
_REFUSED = {
    "n": "only one choice is made for a request; send several requests",
    "audio": "this server makes no audio here",
    "modalities": 'only ["text"] is served here',
    "logprobs": "the log keeps no probabilities",
    "top_logprobs": "the log keeps no probabilities",
    "prediction": "is not served here",
    "functions": "was replaced by tools",
    "function_call": "was replaced by tool_choice",
    "web_search_options": "is not served here; send the provider's own search as one of the tools",
    "moderation": "is not served here",
}
_OWN = frozenset(
    {
        *("model", "messages", "stop", "tools", "tool_choice", "response_format", "stream", "stream_options", "store"),
        *("max_tokens", "max_completion_tokens"),
    }
)

_KNOWN = _OWN | _OPTIONAL | {*_OURS}


@dataclass(frozen=True)
class ChatRequest:
    """What a Chat Completions body asks."""

    request: GenerationRequest
    is_stream: bool
    with_usage: bool  # in a chunk of its own, at the end of the stream
    is_stored: bool  # the client will come back for the answer, so that leaving does not stop it


def chat_request(fields: Fields, model: str, dialect: str) -> ChatRequest:
    """The request in these fields (`fields_of` a body) for a model of this dialect. Raises InvalidRequest."""
    refuse(_faults(fields, dialect))
    limit = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    ours: Fields = {name: fields[name] for name in _OURS if name in fields}
    ours["model"] = model
    ours["messages"] = [
        _message(message, f"messages[{n}]")
        for n, message in enumerate(list_of_objects(fields.get("messages", []), "messages"))
    ]
    if limit in fields:
        ours["max_tokens"] = fields[limit]
    if "response_format" in fields:
        ours["response_format"] = fields["response_format"]
    if fields.get("stop", "") not in ("", []):
        ours["stop"] = fields["stop"]
    if tools := list_of_objects(fields.get("tools", []), "tools"):
        ours["tools"] = tools
    choice = fields.get("tool_choice")
    if choice is not None and (tools or choice not in ("auto", "none")):
        ours["tool_choice"] = choice
    if user := fields.get(user_field(fields)):
        ours["user"] = user
    if extra := _extra(fields, dialect):
        ours["extra"] = extra
    return ChatRequest(
        request=request_of(ours, dialect, renamed({"max_tokens": limit, "user": user_field(fields)})),
        is_stream=flag(fields, "stream"),
        with_usage=flag(object_of(fields, "stream_options"), "include_usage", "stream_options"),
        is_stored=flag(fields, "store"),
    )


def _faults(fields: Mapping[str, Any], dialect: str) -> Iterator[Fault]:
    yield from user_faults(fields)
    for name, value in fields.items():
        if _is_without_effect(name, value):
            continue
        if name in _REFUSED:
            yield Fault(name, _REFUSED[name])
        elif dialect != "openai_chat" and name not in _KNOWN and not _is_neutral(name, value):
            yield Fault(printable(name), "this model's provider does not take this field; leave it out")


def _is_without_effect(name: str, value: Any) -> bool:
    return any(type(value) is type(known) and value == known for known in _WITHOUT_EFFECT.get(name, ()))


def _is_neutral(name: str, value: Any) -> bool:
    return not isinstance(value, bool) and value in _NEUTRAL.get(name, ())


def _extra(fields: Mapping[str, Any], dialect: str) -> Fields:
    """The fields that go to the provider as they are, where its dialect is the client's own."""
    if dialect != "openai_chat":
        return {}
    ours = {*_OWN, *_OURS}
    return as_digests({n: v for n, v in fields.items() if n not in ours and not _is_without_effect(n, v)})


def _message(message: Fields, where: str) -> Fields:
    """The message with what we keep of it: clients send back all that an earlier answer held."""
    role = message.get("role")
    if role == "function":
        raise InvalidRequest(Fault(f"{where}.role", "was replaced by tool"))
    ours: Fields = {"role": role}
    content = _content(message.get("content"), f"{where}.content", is_answer=role == "assistant")
    if role == "assistant":
        if refusal := message.get("refusal"):
            content = content or text_or_fault(refusal, f"{where}.refusal")
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            ours["reasoning_content"] = plain(reasoning)
        if "provider_state" in message:
            ours["provider_state"] = message["provider_state"]
        if calls := message.get("tool_calls"):
            named = enumerate(list_of_objects(calls, f"{where}.tool_calls"))
            ours["tool_calls"] = [_tool_call(call, f"{where}.tool_calls[{n}]") for n, call in named]
        ours["content"] = content if content or not calls else None
    else:
        ours["content"] = content
    if role == "tool" and "tool_call_id" in message:
        ours["tool_call_id"] = message["tool_call_id"]
    return ours


def _content(content: Any, where: str, *, is_answer: bool) -> Any:
    """Text, or our parts; "" for what is empty."""
    if content is None:
        return ""
    if isinstance(content, str):
        return plain(content)
    parts = [
        _part(part, f"{where}[{n}]", is_answer=is_answer) for n, part in enumerate(list_of_objects(content, where))
    ]
    return [part for part in parts if part.get("type") != "text" or part["text"]] or ""


def _part(part: Fields, where: str, *, is_answer: bool) -> Fields:
    kind = part.get("type")
    if kind == "text" or (kind == "refusal" and is_answer):
        return {"type": "text", "text": text_or_fault(part.get(str(kind), ""), f"{where}.{kind}")}
    return part


def _tool_call(call: Fields, where: str) -> Fields:
    kind = "custom" if call.get("type") == "custom" else "function"
    if call.get("type", kind) != kind:
        raise InvalidRequest(Fault(f"{where}.type", "is function or custom"))
    text = "input" if kind == "custom" else "arguments"
    called = object_of(call, kind, where)
    kept = {name: called[name] for name in ("name", text) if name in called}
    if isinstance(kept.get(text), str):
        kept[text] = plain(kept[text])
    ours = {"type": kind, kind: kept, **({"id": call["id"]} if "id" in call else {})}
    return {**ours, **({"provider_state": call["provider_state"]} if "provider_state" in call else {})}
