"""Chat Completions' whole answer, made of a generation's items. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.openai.answer import Answer, Call, Picture, Reasoning, Refusal, Text, counts_of

ID_PREFIX = "chatcmpl-"


def chat_id(job_id: str) -> str:
    """The completion's id, which holds the job's."""
    return ID_PREFIX + job_id


def chat_completion(answer: Answer, job_id: str, model: str, created_s: int) -> dict[str, Any]:
    """The body of a completed job's answer. `created_s` is a Unix time."""
    end = answer.end or {}
    choice = {
        "index": 0,
        "message": _message(answer),
        "logprobs": None,
        "finish_reason": end.get("finish_reason") or "stop",
    }
    return {
        "id": chat_id(job_id),
        "object": "chat.completion",
        "created": created_s,
        "model": model,
        "choices": [choice],
        "usage": chat_usage(end.get("usage")),
    }


def chat_usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Usage in their words; None where the provider counted nothing."""
    if (counts := counts_of(usage)) is None:
        return None
    return {
        "prompt_tokens": counts["input_tokens"],
        "completion_tokens": counts["output_tokens"],
        "total_tokens": counts["input_tokens"] + counts["output_tokens"],
        "prompt_tokens_details": {"cached_tokens": counts["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": counts["reasoning_tokens"]},
    }


def url_citation(citation: Mapping[str, Any]) -> dict[str, Any]:
    """A source as their annotation; characters count in the whole text."""
    start, end = citation.get("start") or 0, citation.get("end") or 0
    return {"url": citation["url"], "title": citation["title"], "start_index": start, "end_index": end}


def extras(answer: Answer) -> dict[str, Any]:
    """What a message has beside OpenAI's own fields, as far as there is any."""
    found: dict[str, Any] = {}
    states = [i.provider_state for i in answer.items if isinstance(i, Reasoning) and i.provider_state is not None]
    if states:
        found["provider_state"] = states[-1]
    if citations := [each for text in answer.items if isinstance(text, Text) for each in text.citations]:
        found["annotations"] = [{"type": "url_citation", "url_citation": url_citation(each)} for each in citations]
    if pictures := [item for item in answer.items if isinstance(item, Picture)]:
        found["images"] = [_image(each) for each in pictures]
    return found


def _image(picture: Picture) -> dict[str, Any]:
    """An image as the servers that answer with images write it."""
    media_type = picture.media_type or "application/octet-stream"
    url = picture.url or f"data:{media_type};base64,{picture.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _message(answer: Answer) -> dict[str, Any]:
    texts = [item for item in answer.items if isinstance(item, Text)]
    calls = [_call(item) for item in answer.items if isinstance(item, Call)]
    content = "".join(text.text for text in texts)
    refusal = _joined(item.text for item in answer.items if isinstance(item, Refusal)) or None
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not (calls or refusal) else None,
        "refusal": refusal,
    }
    if reasoning := _joined(item.text for item in answer.items if isinstance(item, Reasoning)):
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message | extras(answer)


def _call(call: Call) -> dict[str, Any]:
    state = {} if call.provider_state is None else {"provider_state": call.provider_state}
    if call.is_custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}, **state}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **state}


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, texts))
