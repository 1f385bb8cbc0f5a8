"""The provider `openai_completions`: OpenAI's legacy Completions, and every server that speaks them. Pure.

A prompt goes to the model as it is, without a chat template: what base models, and some local servers, are asked with.
Format: https://platform.openai.com/docs/api-reference/completions
"""

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.request import GenerationRequest
from worker.dialects.openai.chat_parser import OpenAiChatParser
from worker.dialects.openai.server import OpenAiServer
from worker.upstream.json_body import given, json_body
from worker.upstream.provider import HttpCall
from worker.upstream.refusals import Refusals, without, without_sampling

DIALECT = "openai_completions"
_OPTIONS = ("prompt", "max_tokens", "temperature", "top_p", "stop", "seed")


class OpenAiCompletions(OpenAiServer):
    """One server of this dialect."""

    dialect = DIALECT

    def __init__(self, served: str, base_url: str, api_key: str, additions: Additions = NO_ADDITIONS) -> None:
        super().__init__(served, base_url, api_key, additions)
        self._refusals = Refusals(without("stream_options"), without_sampling())

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        ours = {
            "model": model.partition("/")[2],
            "stream": True,
            "stream_options": {"include_usage": True},
            **given(request, _OPTIONS),
        }
        return self._refusals.heeded(self._server.call("/completions", json_body(ours, request)))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        return self._refusals.amended(call, status, body)

    def parser(self) -> OpenAiChatParser:
        return OpenAiChatParser()  # the same stream: a choice has `text` in place of `delta`
