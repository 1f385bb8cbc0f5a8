"""The provider `openai_chat`: OpenAI's Chat Completions, and every server that speaks them. Pure.

Format: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

import tokentail
from tokentail.catalog import ServedModel
from tokentail.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.providers.openai_chat_parser import OpenAiChatParser
from worker.providers.openai_error import body_failure
from worker.providers.provider import HttpCall

DIALECT = "openai_chat"
_OPTIONS = ("max_tokens", "temperature", "top_p", "stop", "tools")


class OpenAiChat:
    """One server. `served` is the name by which its models are asked for: `openai/*`, or a single one."""

    def __init__(self, served: str, base_url: str, api_key: str) -> None:
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._api_key = api_key

    def __repr__(self) -> str:
        return f"<OpenAiChat {self.served.name}>"

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        body: dict[str, Any] = {
            "model": model.partition("/")[2],
            "messages": request.conversation(),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for option in _OPTIONS:
            if (value := getattr(request, option)) is not UNSET:
                body[option] = value
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # a compressor would hold tokens back
            "User-Agent": f"tokentail/{tokentail.__version__}",
        }
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return HttpCall(self._url, headers, msgspec.json.encode(body))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """Older servers refuse `stream_options`; OpenAI's reasoning models want `max_tokens` by its newer name."""
        if status not in {400, 422}:
            return None
        asked: dict[str, Any] = msgspec.json.decode(call.body)
        if b"max_completion_tokens" in body and "max_tokens" in asked:
            asked["max_completion_tokens"] = asked.pop("max_tokens")
        elif b"stream_options" in body and "stream_options" in asked:
            del asked["stream_options"]
        else:
            return None
        return HttpCall(call.url, call.headers, msgspec.json.encode(asked))

    def parser(self) -> OpenAiChatParser:
        return OpenAiChatParser()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)
