"""The provider `openai_chat`: OpenAI's Chat Completions, and every server that speaks them. Pure.

Format: https://platform.openai.com/docs/api-reference/chat
"""

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.request import GenerationRequest
from worker.dialects.openai.chat_messages import chat_messages
from worker.dialects.openai.chat_parser import OpenAiChatParser
from worker.dialects.openai.server import OpenAiServer
from worker.upstream.json_body import given, json_body
from worker.upstream.provider import HttpCall
from worker.upstream.refusals import (
    Refusals,
    developer_as_system,
    in_turns,
    nearest_effort,
    renamed,
    without,
    without_sampling,
)

DIALECT = "openai_chat"
_OPTIONS = (
    *("max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice"),
    *("response_format", "reasoning_effort"),
)
# What servers differ in: OpenAI's reasoning models want `max_tokens` by its newer name, and refuse wishes about
# sampling; older servers do not know `stream_options` and `developer`; not all take reasoning back.
_AMENDMENTS = (
    renamed("max_tokens", "max_completion_tokens"),
    without("stream_options"),
    without_sampling(),
    nearest_effort("reasoning_effort"),
    developer_as_system("messages"),
    in_turns(
        "messages", ("cache_control", "extra_content", "reasoning_content", "reasoning_details", "thinking_blocks")
    ),
    in_turns("tools", ("cache_control",)),
)


class OpenAiChat(OpenAiServer):
    """One server of this dialect. The request's shapes are its own, so they go as they came."""

    dialect = DIALECT

    def __init__(self, served: str, base_url: str, api_key: str, additions: Additions = NO_ADDITIONS) -> None:
        super().__init__(served, base_url, api_key, additions)
        self._refusals = Refusals(*_AMENDMENTS)

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        ours = {
            "model": model.partition("/")[2],
            "messages": chat_messages(request.turns()),
            "stream": True,
            "stream_options": {"include_usage": True},
            **given(request, _OPTIONS),
        }
        return self._refusals.heeded(self._server.call("/chat/completions", json_body(ours, request)))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        return self._refusals.amended(call, status, body)

    def parser(self) -> OpenAiChatParser:
        return OpenAiChatParser()
