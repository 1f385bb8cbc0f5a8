"""Chunks: what a provider's stream is made of, whatever its dialect. Values only; nothing here does I/O."""

from dataclasses import dataclass

from tokentail.element import Reasoning, Refusal, ToolCall
from tokentail.errors import TokentailError
from tokentail.job import Failure, FailureKind, FinishReason, Usage

_MAX_MESSAGE = 500  # characters of a failure's message


@dataclass(frozen=True, slots=True)
class Finish:
    """The model stopped. `reason` is None where the provider's own word has no counterpart in ours."""

    reason: FinishReason | None
    provider_reason: str | None = None  # the provider's own word


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What the provider counted. A later report replaces an earlier one."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the request. `request_id` is its own name for the call, if it gave one."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Terminal:
    """The provider's own end marker: nothing follows."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the provider's answer can be taken up again, after all the chunks before this one, and before none of them.

    `text` is the provider's own affair; no content. An empty one says that earlier positions hold no more.
    """

    text: str


# A `str` is visible text: it is what nearly every chunk is, and needs no wrapping.
Chunk = str | Reasoning | ToolCall | Refusal | Finish | UsageReport | Position | Accepted | Terminal


class ProviderFailure(TokentailError):
    """The provider did not give an answer, or only a part of one.

    `failure` is what the job's readers may be told: never a key, a header or a prompt. `retry_after_s` is how long
    the provider asked to be left alone, if it did.
    """

    def __init__(self, failure: Failure, retry_after_s: float | None = None) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure
        self.retry_after_s = retry_after_s
        self.request_id = ""  # the provider's own name for the call, if it gave one


class PositionLost(ProviderFailure):
    """The answer cannot be taken up again from its position. Only a new one can be asked for."""


def position_lost(status: int | None = None) -> PositionLost:
    """A PositionLost, with the provider's HTTP status if it said so itself."""
    message = "The provider cannot go on with the answer that was interrupted."
    return PositionLost(Failure(FailureKind.UNAVAILABLE, message, is_retryable=True, provider_status=status))


def provider_failure(
    kind: FailureKind,
    message: str,
    *,
    is_retryable: bool = False,
    status: int | None = None,
    code: str | None = None,
    retry_after_s: float | None = None,
) -> ProviderFailure:
    """A ProviderFailure with its words made safe: one line, bounded, and nothing that UTF-8 cannot carry."""
    failure = Failure(kind, _safe(message), is_retryable, status, None if code is None else _safe(code)[:100])
    return ProviderFailure(failure, retry_after_s)


def _safe(text: str) -> str:
    words = " ".join(text[: 4 * _MAX_MESSAGE].encode("utf-8", "replace").decode("utf-8").split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)[:_MAX_MESSAGE]
