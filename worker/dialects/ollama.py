"""The provider `ollama`: Ollama's own API, local or in its cloud. Pure.

Format: https://docs.ollama.com/api/chat
"""

from collections.abc import Mapping
from typing import Any

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.message import ImagePart, Message
from tokentail.jobs.models import ServedModel
from tokentail.jobs.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.dialects.ollama_parser import OllamaParser
from worker.upstream.json_body import given, json_body
from worker.upstream.provider import HttpCall
from worker.upstream.provider_error import body_failure
from worker.upstream.refusals import Refusals, nearest_effort, plain
from worker.upstream.server import Server
from worker.upstream.whole_tool_calls import arguments_object, called_names

DIALECT = "ollama"
_OPTIONS = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
}
_THINK: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "xhigh": "high",
    "max": "high",
}  # the other words are the same


class Ollama:
    """One server. `served` is the name by which its models are asked for: `ollama/*`, or a single one."""

    needs_reason = True
    address = key_source = ""

    def __init__(self, served: str, base_url: str, api_key: str, additions: Additions = NO_ADDITIONS) -> None:
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        headers = {"Accept": "application/x-ndjson"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._server = Server(base_url, headers, additions)
        self._refusals = Refusals(_only_whether_to_think, nearest_effort("think"))

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
            ours["tools"] = [{"type": "function", "function": tool["function"]} for tool in request.tools]
        if request.response_format and request.response_format.type != "text":
            schema = request.response_format.json_schema
            ours["format"] = schema.schema if schema else "json"
        if request.reasoning_effort:
            ours["think"] = _THINK.get(request.reasoning_effort, request.reasoning_effort)
        return self._refusals.heeded(self._server.call("/api/chat", json_body(ours, request)))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        return self._refusals.amended(call, status, body)

    def parser(self) -> OllamaParser:
        return OllamaParser()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)


def _only_whether_to_think(asked: dict[str, Any], complaint: bytes) -> bool:
    """Older servers know only whether to think, not how hard."""
    if b"cannot unmarshal string" not in complaint or not isinstance(plain(asked.get("think")), str):
        return False
    asked["think"] = True
    return True


def _message(turn: Message, called: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "system" if turn.is_instruction else turn.role, "content": turn.text}
    if turn.reasoning_content:
        message["thinking"] = turn.reasoning_content
    # An image's address elsewhere is refused at submission: Ollama fetches nothing.
    inline = (part.image_url.inline() for part in turn.parts if isinstance(part, ImagePart))
    if images := [found[1] for found in inline if found]:
        message["images"] = images
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "function": {"name": call.name, "arguments": arguments_object(call.arguments)},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id:
        message["tool_call_id"] = turn.tool_call_id
        if called:
            message["tool_name"] = called
    return message
