"""The provider `openai_completions`: OpenAI's legacy Completions, and every server that speaks them. Pure.

A prompt goes to the model as it is, without a chat template: what base models, and some local servers, are asked with.
Format: https://platform.openai.com/docs/api-reference/completions
"""

from tokentail.request import GenerationRequest
from worker.providers.json_call import given, json_call
from worker.providers.openai_chat import without_stream_options
from worker.providers.openai_chat_parser import OpenAiChatParser
from worker.providers.openai_server import OpenAiServer
from worker.providers.provider import HttpCall

DIALECT = "openai_completions"
_OPTIONS = ("prompt", "max_tokens", "temperature", "top_p", "stop", "seed")


class OpenAiCompletions(OpenAiServer):
    """One server of this dialect."""

    dialect = DIALECT

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        ours = {
            "model": model.partition("/")[2],
            "stream": True,
            "stream_options": {"include_usage": True},
            **given(request, _OPTIONS),
        }
        return json_call(f"{self._base_url}/completions", self._key_headers, ours, request)

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        return without_stream_options(call, body) if status in {400, 422} else None

    def parser(self) -> OpenAiChatParser:
        return OpenAiChatParser()  # the same stream: a choice has `text` in place of `delta`
