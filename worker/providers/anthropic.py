"""The provider `anthropic`: Anthropic's Messages, and every server that speaks them. Pure.

Format: https://platform.claude.com/docs/en/api/messages
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tokentail.catalog import ServedModel
from tokentail.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.providers.anthropic_parser import AnthropicParser
from worker.providers.anthropic_request import DEFAULT_MAX_TOKENS, message_body
from worker.providers.anthropic_thinking import lower_max_tokens, thinks_less
from worker.providers.json_call import json_call
from worker.providers.openai_error import body_failure
from worker.providers.provider import HttpCall

DIALECT = "anthropic"
# The version is pinned: later ones refuse what this one takes, temperature for instance.
_VERSION = "2023-06-01"
_MODEL_LIMIT = re.compile(rb"max_tokens: \d+ > (\d{1,9})\b")
_CONTEXT_LIMIT = re.compile(rb"context limit: (\d{1,9}) \+ \d+ > (\d{1,9})\b")


class Anthropic:
    """One server. `served` is the name by which its models are asked for: `anthropic/*`, or a single one."""

    def __init__(self, served: str, base_url: str, api_key: str) -> None:
        """`base_url` may be written with its `/v1` or without."""
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        self._url = base_url.rstrip("/").removesuffix("/v1") + "/v1/messages"
        self._headers = {"anthropic-version": _VERSION, **({"x-api-key": api_key} if api_key else {})}

    def __repr__(self) -> str:
        return f"<Anthropic {self.served.name}>"

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        return json_call(self._url, self._headers, message_body(request, model.partition("/")[2]), request)

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """Models differ in how many tokens they give at most, and in how they are told to think."""
        if status != 400:
            return None
        asked: dict[str, Any] = msgspec.json.decode(call.body)
        if not (_is_made_to_fit(asked, body) or thinks_less(asked, body)):
            return None
        return HttpCall(call.url, call.headers, msgspec.json.encode(asked))

    def parser(self) -> AnthropicParser:
        return AnthropicParser()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)  # Anthropic's errors have the form of OpenAI's


def _is_made_to_fit(asked: dict[str, Any], complaint: bytes) -> bool:
    """Lower our own default to what the model or the rest of its context allows. A client's number is its own."""
    if asked["max_tokens"] != DEFAULT_MAX_TOKENS:
        return False
    if found := _MODEL_LIMIT.search(complaint):
        limit = int(found[1])
    elif found := _CONTEXT_LIMIT.search(complaint):
        limit = int(found[2]) - int(found[1])
    else:
        return False
    if not 0 < limit < DEFAULT_MAX_TOKENS:
        return False
    lower_max_tokens(asked, limit)
    return True
