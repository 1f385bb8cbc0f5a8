"""One provider's server: what each call to it carries, of its dialect and of the deployment's own."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.unit.worker.recorded_streams import REQUEST, PlayedAnswer, failure_of
from tokentail.config.endpoints import Additions, Endpoint
from worker.chunk import Position
from worker.dialects.openai.responses import OpenAiResponses
from worker.dialects.registry import providers_of
from worker.upstream.provider import HttpProvider

ADDITIONS = Additions(
    headers={"api-key": "own-secret-of-ours", "user-agent": "gateway", "X-Team": "blue"},
    query={"tenant": "a b", "sig": "signed-secret-of-ours"},
    secrets=("own-secret-of-ours", "signed-secret-of-ours", "eu"),
)
PATHS = {
    "anthropic": "/base/v1/messages",
    "gemini": "/base/v1beta/models/m:streamGenerateContent",
    "ollama": "/base/api/chat",
    "openai_chat": "/base/chat/completions",
    "openai_completions": "/base/completions",
    "openai_responses": "/base/responses",
}


def provider_of(dialect: str, base_url: str = "https://x.example/base/?api-version=1") -> HttpProvider:
    (provider,) = providers_of(Endpoint("p", dialect, base_url, "key-of-ours", additions=ADDITIONS))
    assert isinstance(provider, HttpProvider)
    return provider


@pytest.mark.parametrize("dialect", PATHS)
def test_each_call_carries_the_deployment_s_own_headers_and_parameters(dialect: str) -> None:
    """Behind the path, beside those of the dialect and of the base address; an own header replaces ours."""
    call = provider_of(dialect).call(REQUEST, "p/m")
    parts = urlsplit(call.url)
    assert parts.path == PATHS[dialect]
    given = dict(parse_qsl(parts.query))
    assert given.pop("alt", "sse") == "sse"
    assert given == {"api-version": "1", "tenant": "a b", "sig": "signed-secret-of-ours"}
    names = {name.lower(): value for name, value in call.headers.items()}
    assert (names["api-key"], names["x-team"], names["user-agent"]) == ("own-secret-of-ours", "blue", "gateway")
    assert names["content-type"] == "application/json"
    assert len(names) == len(call.headers), "no header is sent twice"
    assert "secret" not in repr(call)


def test_an_own_header_replaces_the_key_s() -> None:
    """A server made for the newer clients of Anthropic wants `Authorization: Bearer`."""
    additions = Additions(headers={"authorization": "Bearer own"})
    (provider,) = providers_of(Endpoint("p", "openai_chat", "https://x.example", "key", additions=additions))
    assert isinstance(provider, HttpProvider)
    headers = provider.call(REQUEST, "p/m").headers
    assert [value for name, value in headers.items() if name.lower() == "authorization"] == ["Bearer own"]


def test_a_resumed_answer_and_a_cancel_carry_them_too() -> None:
    """All calls of a provider go to the same gateway."""
    provider = OpenAiResponses("p/*", "https://x.example/v1?api-version=1", "k", ADDITIONS, is_background=True)
    position = next(chunk.text for chunk in provider.parser().feed(CREATED) if isinstance(chunk, Position))
    for call in (provider.resume(position, REQUEST, "p/m"), provider.stored(position), provider.cancel(position)):
        assert "api-version=1" in call.url
        assert "tenant=a+b" in call.url
        assert call.headers["api-key"] == "own-secret-of-ours"


CREATED = (
    b'event: response.created\ndata: {"type": "response.created", "sequence_number": 0, '
    b'"response": {"id": "resp_1", "status": "in_progress"}}\n\n'
)


@pytest.mark.parametrize("secret", ["own-secret-of-ours", "signed-secret-of-ours", "key-of-ours"])
def test_a_provider_s_words_that_hold_a_secret_are_left_out(secret: str) -> None:
    """Whether it is of a header, of a parameter or the key itself; an error travels into logs."""
    answer = PlayedAnswer([f'{{"error": {{"message": "bad credential {secret}"}}}}'.encode()], status=400)
    failure = failure_of(answer, provider=provider_of("openai_chat")).failure
    assert secret not in failure.message


def test_a_provider_s_words_may_name_what_is_no_secret() -> None:
    """Azure says which version it does not know."""
    answer = PlayedAnswer(
        [b'{"error": {"message": "The api-version 1 of team blue in eu is not supported"}}'], status=400
    )
    failure = failure_of(answer, provider=provider_of("openai_chat")).failure
    assert "of team blue" in failure.message
