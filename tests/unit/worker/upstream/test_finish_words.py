"""Finish words: each means the same in every dialect, however it is spelled."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.worker.recorded_streams import OPENAI, PlayedAnswer, failure_of, played
from tokentail.jobs.job import FailureKind, FinishReason
from worker.chunk import ProviderFailure
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.google.gemini import Gemini
from worker.dialects.ollama import Ollama
from worker.dialects.openai.completions import OpenAiCompletions
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.finish_words import finish_of
from worker.upstream.provider import HttpProvider


def _chat(word: str) -> list[Any]:
    said = {"choices": [{"index": 0, "delta": {"content": "Half"}, "finish_reason": None}]}
    return [said, {"choices": [{"index": 0, "delta": {}, "finish_reason": word}]}]


def _completions(word: str) -> list[Any]:
    return [{"choices": [{"index": 0, "text": "Half"}]}, {"choices": [{"text": "", "finish_reason": word}]}]


def _responses(word: str) -> list[Any]:
    ended = {"status": "incomplete", "incomplete_details": {"reason": word}}
    said = {"type": "response.output_text.delta", "delta": "Half"}
    return [said, {"type": "response.incomplete", "response": ended}]


def _anthropic(word: str) -> list[Any]:
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half"}}
    return [said, {"type": "message_delta", "delta": {"stop_reason": word}}, {"type": "message_stop"}]


def _gemini(word: str) -> list[Any]:
    content = {"parts": [{"text": "Half"}], "role": "model"}
    return [{"candidates": [{"content": content}]}, {"candidates": [{"finishReason": word}]}]


def _ollama(word: str) -> list[Any]:
    return [{"message": {"content": "Half"}, "done": False}, {"message": {}, "done": True, "done_reason": word}]


_DIALECTS: list[tuple[HttpProvider, Callable[[str], list[Any]]]] = [
    (OPENAI, _chat),
    (OpenAiCompletions("old/*", "https://api.example/v1", ""), _completions),
    (OpenAiResponses("new/*", "https://api.example/v1", ""), _responses),
    (Anthropic("anthropic/*", "https://api.example", ""), _anthropic),
    (Gemini("gemini/*", "https://api.example", ""), _gemini),
    (Ollama("ollama/*", "https://api.example", ""), _ollama),
]
_IN_EACH_DIALECT = pytest.mark.parametrize(
    ("provider", "stream"), _DIALECTS, ids=["chat", "completions", "responses", "anthropic", "gemini", "ollama"]
)


def _body(events: list[Any], provider: HttpProvider) -> bytes:
    lines = [json.dumps(event) + "\n" for event in events]
    return "".join(lines if isinstance(provider, Ollama) else [f"data: {line}\n" for line in lines]).encode()


@_IN_EACH_DIALECT
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        *[(word, "stop") for word in ("stop", "STOP", "eos", "end_turn", "COMPLETE", "FINISH_REASON_STOP")],
        *[(word, "length") for word in ("length", "max_tokens", "MAX_TOKENS", "maxTokens", "model_length")],
        *[(word, "length") for word in ("max_output_tokens", "model_context_window_exceeded", "CONTINUATION")],
        *[(word, "tool_calls") for word in ("tool_calls", "tool_use", "TOOL_CALL", "function_call", "tool-calls")],
        *[(word, "content_filter") for word in ("content_filter", "content-filter", "SAFETY", "sensitive", "refusal")],
        *[(word, "content_filter") for word in ("LANGUAGE", "ESCALATION", "MODEL_ARMOR", "PUP_LIMITED_DISABLED")],
        *[(word, "content_filter") for word in ("guardrail_intervened", "ERROR_TOXIC", "IMAGE_PROHIBITED_CONTENT")],
        *[(word, None) for word in ("NEW_IN_2030", "pause_turn", "OTHER", "steered", "repetition")],
    ],
)
def test_a_known_word_means_the_same_in_every_dialect(
    provider: HttpProvider, stream: Callable[[str], list[Any]], word: str, reason: str | None
) -> None:
    """A gateway may pass on the words of another dialect; a word that nobody knows is null, and never `stop`."""
    given = played([_body(stream(word), provider)], provider=provider)
    assert {"type": "finish", "reason": reason, "provider_reason": word} in given


@_IN_EACH_DIALECT
@pytest.mark.parametrize(
    ("word", "kind", "is_retryable"),
    [
        *[(word, "unavailable", True) for word in ("abort", "aborted", "error", "ERROR", "network_error", "cancelled")],
        *[(word, "unavailable", True) for word in ("engine_error", "some_error_of_its_own_failure", "upstream_error")],
        ("insufficient_system_resource", "overloaded", True),
        ("TIMEOUT", "timeout", True),
        *[(word, "malformed", True) for word in ("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE")],
        *[(word, "rejected", False) for word in ("MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS")],
    ],
)
def test_a_word_for_an_answer_that_broke_off_is_a_failure_in_every_dialect(
    provider: HttpProvider, stream: Callable[[str], list[Any]], word: str, kind: str, is_retryable: bool
) -> None:
    """Half an answer is not called complete; what was said before stays, and the word is the failure's code."""
    body = _body(stream(word), provider)
    given = played([body], provider=provider)
    assert given[0] == "Half"
    assert given[-1] == {"type": "failure", "kind": kind, "is_retryable": is_retryable}
    failure = failure_of(PlayedAnswer([body]), provider=provider).failure
    assert failure.provider_code == word
    assert word in failure.message


@pytest.mark.parametrize("word", [None, "", "null", " NULL ", "none", "FINISH_REASON_UNSPECIFIED", 5, {}, ["stop"]])
def test_what_is_no_word_says_that_the_answer_goes_on(word: object) -> None:
    """Some servers write the string "null" into each piece."""
    assert finish_of(word) is None


def test_a_word_in_an_object_counts() -> None:
    """SGLang's own form has the word under `type`."""
    finish = finish_of({"type": "length", "length": 16})
    assert finish is not None
    assert finish.reason is FinishReason.LENGTH


def test_what_the_provider_adds_to_its_word_is_in_the_failure() -> None:
    """Gemini's `finishMessage` says what is to be done. Of garbled words it quotes what the model wrote: left out."""
    with pytest.raises(ProviderFailure) as raised:
        finish_of("MISSING_THOUGHT_SIGNATURE", "Function call `f` lacks a thought_signature.")
    assert "lacks a thought_signature" in raised.value.failure.message
    with pytest.raises(ProviderFailure) as raised:
        finish_of("MALFORMED_FUNCTION_CALL", "Malformed function call: print(")
    assert "print" not in raised.value.failure.message
    assert raised.value.failure.kind is FailureKind.MALFORMED
