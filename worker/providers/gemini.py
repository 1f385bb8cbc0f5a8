"""The provider `gemini`: Google's Gemini API. Pure.

Format: https://ai.google.dev/api/generate-content
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from tokentail.catalog import ServedModel
from tokentail.request import GenerationRequest
from worker.chunk import ProviderFailure
from worker.providers.gemini_body import camel_extra, gemini_body
from worker.providers.gemini_parser import GeminiParser
from worker.providers.google_error import body_failure
from worker.providers.json_call import json_call
from worker.providers.provider import HttpCall

DIALECT = "gemini"
_VERSION = re.compile(r"/v\d+[a-z0-9]*$", re.ASCII)


class Gemini:
    """One server. `served` is the name by which its models are asked for: `gemini/*`, or a single one."""

    def __init__(self, served: str, base_url: str, api_key: str) -> None:
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, DIALECT)
        base_url = base_url.rstrip("/")
        self._base_url = base_url if _VERSION.search(base_url) else f"{base_url}/v1beta"
        self._key_headers = {"x-goog-api-key": api_key} if api_key else {}

    def __repr__(self) -> str:
        return f"<Gemini {self.served.name}>"

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        """What to POST. Raises ProviderFailure (rejected) for earlier tool calls that cannot be put into it."""
        name = model.partition("/")[2].removeprefix("models/")
        # The name is one segment of the path, whatever is in it.
        url = f"{self._base_url}/models/{quote(name, safe='')}:streamGenerateContent?alt=sse"
        return json_call(url, self._key_headers, gemini_body(request, name), camel_extra(request))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """Nothing is known to be refused that could be left out."""
        return None

    def parser(self) -> GeminiParser:
        return GeminiParser()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)
