"""The provider `ollama`: Ollama's own API, local or in its cloud. Pure.

Format: https://docs.ollama.com/api/chat
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from tokentail.catalog import ServedModel
from tokentail.message import ImagePart, Message
from tokentail.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.providers.json_call import given, json_call
from worker.providers.ollama_parser import OllamaParser
from worker.providers.openai_error import body_failure
from worker.providers.provider import HttpCall
from worker.providers.whole_tool_calls import arguments_object, called_names

DIALECT = "ollama"
_OPTIONS = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
}
_THINK: dict[str, bool | str] = {"none": False, "minimal": "low"}  # the other words are the same


class Ollama:
    """One server. `served` is the name by which its models are asked for: `ollama/*`, or a single one."""

    def __init__(self, served: str, base_url: str, api_key: str) -> None:
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        self._url = base_url.rstrip("/") + "/api/chat"
        self._headers = {"Accept": "application/x-ndjson"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def __repr__(self) -> str:
        return f"<Ollama {self.served.name}>"

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        """What to POST. Raises ProviderFailure (rejected) for earlier tool calls that cannot be put into it."""
        turns = request.turns()
        ours: dict[str, Any] = {
            "model": model.partition("/")[2],
            "messages": [_message(turn, name) for turn, name in zip(turns, called_names(turns), strict=True)],
            "stream": True,
        }
        if options := {_OPTIONS[name]: value for name, value in given(request, _OPTIONS).items()}:
            if isinstance(options.get("stop"), str):
                options["stop"] = [options["stop"]]
            ours["options"] = options
        if request.tools:
            ours["tools"] = request.tools
        if request.response_format and request.response_format.type != "text":
            schema = request.response_format.json_schema
            ours["format"] = schema.schema if schema else "json"
        if request.reasoning_effort:
            ours["think"] = _THINK.get(request.reasoning_effort, request.reasoning_effort)
        return json_call(self._url, self._headers, ours, request)

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """Older servers know only whether to think, not how hard."""
        asked: dict[str, Any] = msgspec.json.decode(call.body)
        if status != 400 or b"cannot unmarshal string" not in body or not isinstance(asked.get("think"), str):
            return None
        return HttpCall(call.url, call.headers, msgspec.json.encode({**asked, "think": True}))

    def parser(self) -> OllamaParser:
        return OllamaParser()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)


def _message(turn: Message, called: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    # An image's address elsewhere is refused at submission: Ollama fetches nothing.
    inline = (part.image_url.inline() for part in turn.parts if isinstance(part, ImagePart))
    if images := [found[1] for found in inline if found]:
        message["images"] = images
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "function": {"name": call.function.name, "arguments": arguments_object(call.function.arguments)},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id:
        message["tool_call_id"] = turn.tool_call_id
        if called:
            message["tool_name"] = called
    return message
