"""The provider `openai_chat`: OpenAI's Chat Completions, and every server that speaks them. Pure.

Format: https://platform.openai.com/docs/api-reference/chat
"""

from typing import Any

import msgspec

from tokentail.request import GenerationRequest
from worker.providers.json_call import given, json_call
from worker.providers.openai_chat_parser import OpenAiChatParser
from worker.providers.openai_server import OpenAiServer
from worker.providers.provider import HttpCall

DIALECT = "openai_chat"
_OPTIONS = (
    *("max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice"),
    *("response_format", "reasoning_effort"),
)


class OpenAiChat(OpenAiServer):
    """One server of this dialect. The request's shapes are its own, so they go as they came."""

    dialect = DIALECT

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        ours = {
            "model": model.partition("/")[2],
            "messages": request.conversation(),
            "stream": True,
            "stream_options": {"include_usage": True},
            **given(request, _OPTIONS),
        }
        return json_call(f"{self._base_url}/chat/completions", self._key_headers, ours, request)

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """OpenAI's reasoning models want `max_tokens` by its newer name; and see `without_stream_options`."""
        if status not in {400, 422}:
            return None
        asked: dict[str, Any] = msgspec.json.decode(call.body)
        if b"max_completion_tokens" in body and "max_tokens" in asked:
            asked["max_completion_tokens"] = asked.pop("max_tokens")
            return HttpCall(call.url, call.headers, msgspec.json.encode(asked))
        return without_stream_options(call, body)

    def parser(self) -> OpenAiChatParser:
        return OpenAiChatParser()


def without_stream_options(call: HttpCall, complaint: bytes) -> HttpCall | None:
    """The call for an older server, which refuses `stream_options`; None where the complaint is another one."""
    asked: dict[str, Any] = msgspec.json.decode(call.body)
    if b"stream_options" not in complaint or "stream_options" not in asked:
        return None
    del asked["stream_options"]
    return HttpCall(call.url, call.headers, msgspec.json.encode(asked))
