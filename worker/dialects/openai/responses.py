"""The provider `openai_responses`: OpenAI's Responses, and every server that speaks them. Pure.

In the background, an answer goes on at the provider when its stream is lost, and can be taken up again.
Format: https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Iterator
from typing import Any

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.request import GenerationRequest
from worker.chunk import Chunk, position_lost
from worker.dialects.openai.responses_body import ENCRYPTED, responses_body
from worker.dialects.openai.responses_parser import OpenAiResponsesParser
from worker.dialects.openai.responses_position import ResponsesPosition, parse_position
from worker.dialects.openai.server import OpenAiServer
from worker.dialects.openai.stored_response import stored_chunks
from worker.upstream.json_body import json_body
from worker.upstream.provider import HttpCall
from worker.upstream.refusals import Refusals, developer_as_system, nearest_effort, plain, without_sampling

DIALECT = "openai_responses"


class OpenAiResponses(OpenAiServer):
    """One server of this dialect; `is_background` needs one that has background mode, and keeps answers for a while."""

    dialect = DIALECT

    def __init__(
        self,
        served: str,
        base_url: str,
        api_key: str,
        additions: Additions = NO_ADDITIONS,
        *,
        is_background: bool = False,
    ) -> None:
        super().__init__(served, base_url, api_key, additions)
        self._is_background = is_background
        self._refusals = Refusals(*_AMENDMENTS)

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        ours = responses_body(request, model.partition("/")[2], is_stored=self._is_background)
        if self._is_background:
            ours["background"] = True
        return self._refusals.heeded(self._server.call("/responses", json_body(ours, request)))

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        return self._refusals.amended(call, status, body)

    def parser(self) -> OpenAiResponsesParser:
        return OpenAiResponsesParser(ResponsesPosition() if self._is_background else None)

    def resume(self, position: str, request: GenerationRequest, model: str) -> HttpCall:
        known = parse_position(position)
        if known.sequence is None:
            raise position_lost()
        query = f"stream=true&starting_after={known.sequence}"
        return self._server.call(f"/responses/{known.url_segment}", query=query, method="GET")

    def resumed_parser(self, position: str) -> OpenAiResponsesParser:
        return OpenAiResponsesParser(parse_position(position))

    def cancel(self, position: str) -> HttpCall:
        segment = parse_position(position).url_segment
        return self._server.call(f"/responses/{segment}/cancel", accept="application/json")

    def stored(self, position: str) -> HttpCall:
        segment = parse_position(position).url_segment
        return self._server.call(f"/responses/{segment}", method="GET", accept="application/json")

    def stored_chunks(self, body: bytes) -> Iterator[Chunk] | None:
        return stored_chunks(body)


def _without_summary(asked: dict[str, Any], complaint: bytes) -> bool:
    """OpenAI shows summaries of its reasoning only to organisations that it has verified."""
    reasoning = plain(asked.get("reasoning"))
    if b"summar" not in complaint or not isinstance(reasoning, dict) or reasoning.pop("summary", None) is None:
        return False
    asked["reasoning"] = reasoning
    return True


def _without_encrypted(asked: dict[str, Any], complaint: bytes) -> bool:
    """A model that does not reason has no reasoning to encrypt."""
    included = plain(asked.get("include"))
    is_about_it = b"ncrypted" in complaint or b"include" in complaint
    if not is_about_it or not isinstance(included, list) or ENCRYPTED not in included:
        return False
    asked["include"] = [name for name in included if name != ENCRYPTED]
    if not asked["include"]:
        del asked["include"]
    return True


_AMENDMENTS = (
    _without_summary,
    _without_encrypted,
    without_sampling(),
    nearest_effort("reasoning", "effort"),
    developer_as_system("input"),
)
