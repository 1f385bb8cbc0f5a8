"""Finish words: what providers call the end of an answer, in one table for all dialects. Pure.

Gateways pass the words of other dialects on, so a known word has its meaning in each of them, however it is spelled:
`MAX_TOKENS`, `max-tokens`, `maxTokens` and `FINISH_REASON_MAX_TOKENS` are one word. Some words say that the answer
broke off: these are failures. A word that is not known has no counterpart among our reasons, and is never `stop`.
"""

import re
from typing import Any

from tokentail.jobs.job import FailureKind, FinishReason
from worker.chunk import Finish, ProviderFailure, provider_failure
from worker.upstream.text import paired

# A word in the place of a reason that says that there is none yet.
_NO_REASONS = {"", "null", "none", "undefined", "unspecified", "invalid", "in_progress", "not_finished"}
_STOP = (
    *("stop", "stop_sequence", "stop_sequences", "stop_token", "stop_string", "stop_str", "end", "end_turn"),
    *("eos", "eos_token", "eot", "eot_token", "endoftext", "end_of_text", "end_of_sequence", "end_of_turn"),
    *("complete", "completed", "finish", "finished", "done", "natural", "normal", "success"),
)
_LENGTH = (
    *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "max_length", "max_len"),
    *("token_limit", "length_limit", "max_tokens_reached", "max_context", "max_context_length", "error_limit"),
    *("model_length", "context_length", "context_length_exceeded", "context_window", "context_window_exceeded"),
    *("model_context_window", "model_context_window_exceeded"),
    "continuation",  # more would follow in an answer to another request
)
_TOOL_CALLS = ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls")
_CONTENT_FILTER = (
    *("content_filter", "content_filtered", "safety", "sensitive", "refusal", "refused", "recitation", "blocklist"),
    *("blocked", "prohibited_content", "spii", "language", "escalation", "model_armor", "pup_limited_disabled"),
    *("image_safety", "image_prohibited_content", "image_recitation", "jailbreak", "moderation", "error_toxic"),
    *(
        "guardrail",
        "guardrails",
        "guardrail_intervened",
        "policy_violation",
        "content_policy",
        "content_policy_violation",
    ),
)
_REASONS = {
    **dict.fromkeys(_STOP, FinishReason.STOP),
    **dict.fromkeys(_LENGTH, FinishReason.LENGTH),
    **dict.fromkeys(_TOOL_CALLS, FinishReason.TOOL_CALLS),
    **dict.fromkeys(_CONTENT_FILTER, FinishReason.CONTENT_FILTER),
}
_BROKEN_OFF = (FailureKind.UNAVAILABLE, True)
# The model wrote what the provider cannot read; asked again, it may do better.
_GARBLED = ("malformed_function_call", "malformed_response", "unexpected_tool_call", "malformed_tool_use")
_FAILURES = {
    **dict.fromkeys(
        ("abort", "aborted", "cancelled", "canceled", "user_cancel", "interrupted", "preempted"), _BROKEN_OFF
    ),
    **dict.fromkeys(("unavailable", "service_unavailable", "load", "unload"), _BROKEN_OFF),
    **dict.fromkeys(("insufficient_system_resource", "insufficient_system_resources"), (FailureKind.OVERLOADED, True)),
    **dict.fromkeys(("overloaded", "overloaded_error", "engine_overloaded"), (FailureKind.OVERLOADED, True)),
    **dict.fromkeys(("rate_limit", "rate_limited", "rate_limit_error"), (FailureKind.RATE_LIMITED, True)),
    **dict.fromkeys(
        ("timeout", "timed_out", "time_limit", "timeout_error", "deadline_exceeded"), (FailureKind.TIMEOUT, True)
    ),
    **dict.fromkeys((*_GARBLED, "malformed_model_output"), (FailureKind.MALFORMED, True)),
    # The same request meets the same refusal.
    **dict.fromkeys(("missing_thought_signature", "too_many_tool_calls"), (FailureKind.REJECTED, False)),
}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ENUM = re.compile(r"^(?:finish_?reason|stop_?reason|reason)[_.]")
_MOST_WORD = 100  # characters of the provider's word that are kept


def finish_of(word: Any, said: str = "") -> Finish | None:
    """What a provider's word for the end of its answer means; None where it says that the answer goes on.

    `said` are the words that the provider adds. Raises ProviderFailure for a word that says that the answer broke off.
    """
    if isinstance(word, dict):  # SGLang: {"type": "length", "length": 16}
        word = word.get("type")
    if not isinstance(word, str):
        return None
    known = _ENUM.sub("", re.sub(r"[\s-]+", "_", _HUMP.sub("_", word.strip())).lower())
    if known in _NO_REASONS:
        return None
    if known not in _REASONS and (failure := _failure(known, word, said)) is not None:
        raise failure
    return Finish(_REASONS.get(known), paired(word[:_MOST_WORD]))


def _failure(known: str, word: str, said: str) -> ProviderFailure | None:
    is_error = known.startswith("error") or known.endswith(("error", "failed", "failure"))
    if known not in _FAILURES and not is_error:
        return None
    kind, is_retryable = _FAILURES.get(known, _BROKEN_OFF)
    # What the provider says of garbled words are these words, which no failure shows.
    told = f": {said}" if said and kind is not FailureKind.MALFORMED else "."
    message = f"The provider broke its answer off, with {word.strip()[:_MOST_WORD]} as its reason{told}"
    return provider_failure(kind, message, is_retryable=is_retryable, status=200, code=word)
