"""A server that speaks one of OpenAI's dialects: what the three have in common but for requests and streams. Pure."""

from collections.abc import Mapping
from typing import ClassVar

from tokentail.config.endpoints import NO_ADDITIONS, Additions
from tokentail.jobs.models import ServedModel
from worker.chunk import ProviderFailure
from worker.upstream.provider_error import body_failure
from worker.upstream.server import Server


class OpenAiServer:
    """One server. `served` is the name by which its models are asked for: `openai/*`, or a single one."""

    dialect: ClassVar[str]
    needs_reason = True
    address = key_source = ""

    def __init__(self, served: str, base_url: str, api_key: str, additions: Additions = NO_ADDITIONS) -> None:
        self.name = served.partition("/")[0]
        self.served = ServedModel(served, self.name, self.dialect)
        self._server = Server(base_url, {"Authorization": f"Bearer {api_key}"} if api_key else {}, additions)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.served.name}>"

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        return body_failure(status, headers, body)
