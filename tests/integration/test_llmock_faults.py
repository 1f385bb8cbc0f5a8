"""Each dialect's provider against a mock that others wrote, and its faults; real HTTP, no network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.llmock_server import Mock, taken, text_of
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.google.gemini import Gemini
from worker.dialects.openai.chat import OpenAiChat
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.provider import HttpProvider
from worker.upstream.transport import HttpTransport


@dataclass(frozen=True)
class _Mocked:
    """How to reach the mock's copy of a provider, and after how many of its chunks there is text."""

    make: Callable[[str], HttpProvider]
    text_after: int = 3


MOCKED = {
    "anthropic": _Mocked(lambda url: Anthropic("anthropic/*", f"{url}/anthropic", "sk-anything"), 5),
    "gemini": _Mocked(lambda url: Gemini("gemini/*", f"{url}/gemini", "anything")),
    "openai_chat": _Mocked(lambda url: OpenAiChat("openai/*", f"{url}/v1", "sk-anything")),
    "openai_responses": _Mocked(lambda url: OpenAiResponses("openai/*", f"{url}/v1", "sk-anything"), 8),
}


@pytest.mark.parametrize("dialect", MOCKED)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("disconnect", "truncated"), ("truncate", "truncated"), ("malformed", "malformed"), ("stall", "timeout")],
)
def test_a_broken_stream_is_a_failure_after_what_came(
    mock: Mock, transport: HttpTransport, dialect: str, fault: str, kind: str
) -> None:
    """A stream that ends early is never taken for a whole one: its text stays, and the failure may be retried.

    A `truncate` ends the body in good order, without the answer's last word: another call would cost as much again. A
    `stall` lasts until the patience of the transport ends; in the worker the deadlines end it.
    """
    more: dict[str, Any] = {"stall_seconds": 30} if fault == "stall" else {}
    mock.will(type="stream_fault", kind=fault, after_chunks=MOCKED[dialect].text_after, **more)
    lists, failure = taken(MOCKED[dialect].make(mock.url), transport)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.is_retryable) == (kind, fault != "truncate")
    assert text_of(lists)


@pytest.mark.parametrize(
    ("dialect", "status", "kind", "code"),
    [
        ("anthropic", 429, "rate_limited", "rate_limit_error"),
        ("anthropic", 500, "unavailable", "api_error"),
        ("anthropic", 529, "overloaded", "overloaded_error"),
        ("gemini", 429, "rate_limited", "RESOURCE_EXHAUSTED"),
        ("gemini", 500, "unavailable", "INTERNAL"),
        ("gemini", 503, "overloaded", "UNAVAILABLE"),
        ("openai_chat", 429, "rate_limited", "rate_limit_exceeded"),
        ("openai_responses", 429, "rate_limited", "rate_limit_exceeded"),
        ("openai_responses", 500, "unavailable", "internal_error"),
        ("openai_responses", 503, "overloaded", "service_unavailable"),
    ],
)
def test_a_refusal_says_how_long_to_wait(
    mock: Mock, transport: HttpTransport, dialect: str, status: int, kind: str, code: str
) -> None:
    """With the provider's own word for it; and the next call succeeds."""
    provider = MOCKED[dialect].make(mock.url)
    mock.will(type="fail", status=status, retry_after=2)
    lists, failure = taken(provider, transport)
    assert failure is not None
    assert (failure.failure.kind, failure.failure.is_retryable) == (kind, True)
    assert (failure.failure.provider_status, failure.failure.provider_code) == (status, code)
    assert failure.retry_after_s == 2
    assert not lists
    assert taken(provider, transport)[1] is None
