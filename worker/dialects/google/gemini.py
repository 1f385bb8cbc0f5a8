"""The provider `gemini`: Google's Gemini API. Pure.

Format: https://ai.google.dev/api/generate-content
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.models import ServedModel
from tokentail.jobs.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.dialects.google.body import camel_extra, gemini_body
from worker.dialects.google.continuation import ContinuedParser, parse_gemini_position
from worker.upstream.json_body import json_body
from worker.upstream.provider import HttpCall
from worker.upstream.provider_error import body_failure
from worker.upstream.refusals import Refusals, nearest_effort, plain, without_sampling
from worker.upstream.server import Server

DIALECT = "gemini"
_VERSION = re.compile(r"/v\d+[a-z0-9]*$", re.ASCII)


class Gemini:
    """One server. `served` is the name by which its models are asked for: `gemini/*`, or a single one."""

    needs_reason = True
    address = key_source = ""

    def __init__(self, served: str, base_url: str, api_key: str, additions: Additions = NO_ADDITIONS) -> None:
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        self._server = Server(base_url, {"x-goog-api-key": api_key} if api_key else {}, additions)
        self._version = "" if _VERSION.search(self._server.base_url) else "/v1beta"
        self._refusals = Refusals(
            without_sampling("generationConfig"),
            nearest_effort("generationConfig", "thinkingConfig", "thinkingLevel"),
            _without_budget,
        )

    def __repr__(self) -> str:
        return f"<Gemini {self.served.name}>"

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        """What to POST. Raises ProviderFailure (rejected) for earlier tool calls that cannot be put into it."""
        name = model.partition("/")[2].removeprefix("models/")
        # The name is one segment of the path, whatever is in it.
        path = f"{self._version}/models/{quote(name, safe='')}:streamGenerateContent"
        body = json_body(gemini_body(request, name), camel_extra(request))
        return self._refusals.heeded(self._server.call(path, body, query="alt=sse"))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        return self._refusals.amended(call, status, body)

    def parser(self) -> ContinuedParser:
        return ContinuedParser()

    def resume(self, position: str, request: GenerationRequest, model: str) -> HttpCall:
        """The call of the answer once more, with the token."""
        token = parse_gemini_position(position).token
        call = self.call(request, model)
        return replace(call, body=b'{"continuationToken":"%b",%b' % (token.encode(), call.body[1:]))

    def resumed_parser(self, position: str) -> ContinuedParser:
        return ContinuedParser(parse_gemini_position(position))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)


def _without_budget(asked: dict[str, Any], complaint: bytes) -> bool:
    """Let the model think as much as it likes: some cannot be kept from it, others cannot think."""
    config = plain(asked.get("generationConfig"))
    words = complaint.lower()
    is_about_it = b"thinking" in words or (b"budget" in words and b"invalid" in words)
    if not is_about_it or not isinstance(config, dict) or "thinkingBudget" not in config.get("thinkingConfig", {}):
        return False
    del config["thinkingConfig"]
    asked["generationConfig"] = config
    return True
