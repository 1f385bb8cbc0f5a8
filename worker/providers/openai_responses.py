"""The provider `openai_responses`: OpenAI's Responses, and every server that speaks them. Pure.

In the background, an answer goes on at the provider when its stream is lost, and can be taken up again.
Format: https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET

from tokentail.message import ImagePart, Message, NamedTool, ResponseFormat, TextPart, Tool
from tokentail.request import GenerationRequest
from worker.chunk import position_lost
from worker.providers.json_call import given, json_call, stream_headers
from worker.providers.openai_responses_parser import OpenAiResponsesParser
from worker.providers.openai_responses_position import ResponsesPosition, parse_position
from worker.providers.openai_server import OpenAiServer
from worker.providers.provider import HttpCall

DIALECT = "openai_responses"


class OpenAiResponses(OpenAiServer):
    """One server of this dialect; `is_background` needs one that has background mode, and keeps answers for a while."""

    dialect = DIALECT

    def __init__(self, served: str, base_url: str, api_key: str, *, is_background: bool = False) -> None:
        super().__init__(served, base_url, api_key)
        self._is_background = is_background

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        ours: dict[str, Any] = {
            "model": model.partition("/")[2],
            "input": [item for message in request.turns() for item in _items(message)],
            "stream": True,
            "store": self._is_background,  # what nobody will ask for again need not be kept
            **({"background": True} if self._is_background else {}),
            **given(request, ("temperature", "top_p")),
        }
        if request.max_tokens:
            ours["max_output_tokens"] = request.max_tokens
        if request.tools:
            ours["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice:
            ours["tool_choice"] = _tool_choice(request.tool_choice)
        if request.response_format:
            ours["text"] = {"format": _format(request.response_format)}
        if effort := request.reasoning_effort:
            ours["reasoning"] = {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}
        return json_call(f"{self._base_url}/responses", self._key_headers, ours, request)

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """OpenAI shows summaries of its reasoning only to organisations that it has verified."""
        if status != 400 or b"summar" not in body:
            return None
        asked: dict[str, Any] = msgspec.json.decode(call.body)
        if "summary" not in asked.get("reasoning", {}):
            return None
        del asked["reasoning"]["summary"]
        return replace(call, body=msgspec.json.encode(asked))

    def parser(self) -> OpenAiResponsesParser:
        return OpenAiResponsesParser(ResponsesPosition() if self._is_background else None)

    def resume(self, position: str) -> HttpCall:
        known = parse_position(position)
        if known.sequence is None:
            raise position_lost()
        query = f"stream=true&starting_after={known.sequence}"
        return HttpCall(f"{self._url_of(known)}?{query}", stream_headers(self._key_headers), method="GET")

    def resumed_parser(self, position: str) -> OpenAiResponsesParser:
        return OpenAiResponsesParser(parse_position(position))

    def cancel(self, position: str) -> HttpCall:
        headers = {**stream_headers(self._key_headers), "Accept": "application/json"}
        return HttpCall(f"{self._url_of(parse_position(position))}/cancel", headers)

    def _url_of(self, known: ResponsesPosition) -> str:
        return f"{self._base_url}/responses/{known.url_segment}"


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """One turn as the items that it is here: tool calls and their results are items of their own."""
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return
    if message.role == "assistant":
        # Parts of an earlier answer would have to be `output_text`, with annotations; a string is taken everywhere.
        if message.text:
            yield {"type": "message", "role": "assistant", "content": message.text}
        for call in message.tool_calls or ():
            function = call.function
            yield {
                "type": "function_call",
                "call_id": call.id,
                "name": function.name,
                "arguments": function.arguments,
            }
        return
    content = message.content if isinstance(message.content, str) else [_part(part) for part in message.parts]
    yield {"type": "message", "role": message.role, "content": content}


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    return {"type": "input_image", "image_url": part.image_url.url, "detail": part.image_url.detail or "auto"}


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    return {
        "type": "function",
        "name": function.name,
        **({} if function.description is UNSET else {"description": function.description}),
        "parameters": function.parameters or {"type": "object", "properties": {}},
        "strict": bool(function.strict),  # unsaid, it is true here and false in chat; a request means one thing
    }


def _tool_choice(choice: str | NamedTool) -> str | dict[str, Any]:
    return choice if isinstance(choice, str) else {"type": "function", "name": choice.function.name}


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.to_builtins(wanted.json_schema) if wanted.json_schema else {}
    return {"type": wanted.type, **schema}
