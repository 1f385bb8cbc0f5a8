"""The provider `openai_completions`, from a request to a call and from bytes to chunks."""

import json
from typing import Any

import pytest

from tests.unit.worker.recorded_streams import (
    STREAMS,
    PlayedAnswer,
    PlayedTransport,
    recorded,
)
from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.dialects.openai.completions import DIALECT, OpenAiCompletions
from worker.upstream.source import open_chunks

COMPLETIONS = OpenAiCompletions("base/*", "https://api.example/v1/", "sk-secret-key-of-ours")
NAMES = sorted(path.stem for path in (STREAMS / DIALECT).glob("*.sse"))


def test_the_call_carries_the_prompt_and_every_option() -> None:
    """The prompt goes as it is; what is the dialect's own and has no field of ours comes from `extra`."""
    asked: dict[str, Any] = {"prompt": "Once upon", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": "\n"}
    request = parse_request(json.dumps({**asked, "seed": -7, "extra": {"suffix": "The end.", "echo": True}}).encode())
    check_dialect(request, DIALECT)
    call = COMPLETIONS.call(request, "base/davinci-002")
    assert (call.method, call.url) == ("POST", "https://api.example/v1/completions")
    assert json.loads(call.body) == {
        **asked,
        "seed": -7,
        "suffix": "The end.",
        "echo": True,
        "model": "davinci-002",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    "given_body",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"prompt": "x", "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"prompt": "x", "response_format": {"type": "json_object"}},
        {"prompt": "x", "reasoning_effort": "low"},
    ],
)
def test_what_the_dialect_lacks_is_refused_at_submission(given_body: dict[str, Any]) -> None:
    """The dialect has a prompt and sampling, and nothing else."""
    with pytest.raises(InvalidRequest):
        check_dialect(parse_request(json.dumps(given_body).encode()), DIALECT)


def test_a_server_that_refuses_stream_options_is_asked_without_them() -> None:
    """Once, at once."""
    refused = PlayedAnswer([b'{"error": {"message": "unknown field: stream_options"}}'], status=422)
    transport = PlayedTransport(refused, PlayedAnswer([recorded("text", DIALECT)[0]]))
    with open_chunks(COMPLETIONS, GenerationRequest(prompt="Once"), "base/m", transport) as lists:
        assert next(lists)[:2] == ["Once", " upon"]
    assert "stream_options" not in json.loads(transport.calls[1].body)


def test_neither_key_nor_prompt_shows_in_a_repr() -> None:
    """Reprs end up in logs."""
    shown = f"{COMPLETIONS!r} {COMPLETIONS.call(GenerationRequest(prompt='Once upon'), 'base/m')!r}"
    assert "secret" not in shown
    assert "Once" not in shown
