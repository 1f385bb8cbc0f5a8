"""The provider `anthropic`: Anthropic's Messages, and every server that speaks them. Pure.

Format: https://platform.claude.com/docs/en/api/messages
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.models import ServedModel
from tokentail.jobs.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.dialects.anthropic.parser import AnthropicParser
from worker.dialects.anthropic.request import DEFAULT_MAX_TOKENS, message_body
from worker.dialects.anthropic.thinking import lower_max_tokens, thinks_less
from worker.upstream.json_body import json_body
from worker.upstream.provider import HttpCall
from worker.upstream.provider_error import body_failure
from worker.upstream.refusals import Refusals, nearest_effort, without_sampling
from worker.upstream.server import Server

DIALECT = "anthropic"
# The version is pinned: later ones refuse what this one takes, temperature for instance.
_VERSION = "2023-06-01"
_MODEL_LIMIT = re.compile(rb"max_tokens: \d+ > (\d{1,9})\b")
_AMENDED = (b"max_tokens", b"context limit", b"thinking", b"effort")  # what is refused and can be asked otherwise
_CONTEXT_LIMIT = re.compile(rb"context limit: (\d{1,9}) \+ \d+ > (\d{1,9})\b")


class Anthropic:
    """One server. `served` is the name by which its models are asked for: `anthropic/*`, or a single one."""

    needs_reason = True
    address = key_source = ""

    def __init__(self, served: str, base_url: str, api_key: str, additions: Additions = NO_ADDITIONS) -> None:
        """`base_url` may be written with its `/v1` or without."""
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        headers = {"anthropic-version": _VERSION, **({"x-api-key": api_key} if api_key else {})}
        self._server = Server(base_url, headers, additions)
        self._path = "/messages" if self._server.base_url.endswith("/v1") else "/v1/messages"
        self._refusals = Refusals(without_sampling(), nearest_effort("output_config", "effort", is_optional=False))

    def __repr__(self) -> str:
        return f"<Anthropic {self.served.name}>"

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        body = json_body(message_body(request, model.partition("/")[2]), request)
        return self._refusals.heeded(self._server.call(self._path, body))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """Models differ in how many tokens they give at most, in how thinking is asked for, and in sampling."""
        if amended := self._refusals.amended(call, status, body):
            return amended
        if status != 400 or not any(word in body for word in _AMENDED):
            return None
        asked: dict[str, Any] = msgspec.json.decode(call.body)
        if not (_is_made_to_fit(asked, body) or thinks_less(asked, body)):
            return None
        return replace(call, body=msgspec.json.encode(asked))

    def parser(self) -> AnthropicParser:
        return AnthropicParser()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)


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
