"""Chunks: what a provider's stream is made of, whatever its dialect. Values, and what they show; no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tokentail.errors import TokentailError
from tokentail.jobs.job import Failure, FailureKind, FinishReason, Usage
from tokentail.log.element import Citation, Content, Reasoning, Skipped

MAX_MESSAGE = 500  # characters of a failure's message
_MAX_CODE = 100  # and of the provider's own code
_BEYOND_CUT = 200


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

    `text` is the provider's own affair; no content. An empty one means that earlier positions are void.
    """

    text: str


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """The provider works, and has nothing to show yet: a ping, a comment, an event of progress."""


@dataclass(frozen=True, slots=True)
class BegunAnew:
    """What was shown is not of the answer that follows: it is another generation."""


# A `str` is visible text: it is what nearly every chunk is, and needs no wrapping.
Chunk = str | Content | Finish | UsageReport | Position | Accepted | SignOfLife | BegunAnew | Terminal


class ProviderFailure(TokentailError):
    """The provider did not give an answer, or only a part of one.

    `failure` is what the job's readers may receive: never a key, a header or a prompt. `retry_after_s` is how long
    the provider asked to be left alone, if it did. `words` are those of `failure` and a little of what was cut off.
    """

    def __init__(
        self, failure: Failure, retry_after_s: float | None = None, words: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure
        self.retry_after_s = retry_after_s
        self.words = (failure.message, failure.provider_code or "") if words is None else words
        self.is_final = (
            False  # whether another call must not follow, whatever the failure: the answer has been paid for
        )
        self.request_id = ""  # the provider's own name for the call, if it gave one
        self.ends_answer = False  # whether the answer itself has failed: taken up again, it would fail again


class PositionLost(ProviderFailure):
    """The answer cannot be taken up again from its position. Only a new one can be asked for."""


class AnswerGoesOn(ProviderFailure):
    """The provider has ended the body, and goes on with the answer when it is called from the latest position."""


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
    said, named = _safe(message), None if code is None else _safe(code)
    failure = Failure(kind, said[:MAX_MESSAGE], is_retryable, status, None if named is None else named[:_MAX_CODE])
    # The beginning of a prompt may stand before the cut, and be too short to be known by itself.
    words = said[: MAX_MESSAGE + _BEYOND_CUT], (named or "")[: _MAX_CODE + _BEYOND_CUT]
    return ProviderFailure(failure, retry_after_s, words)


def _safe(text: str) -> str:
    words = " ".join(text[: 4 * MAX_MESSAGE].encode("utf-8", "replace").decode("utf-8").split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def is_visible(chunk: Chunk) -> bool:
    """Whether a chunk shows something of the answer. What only goes back with the next turn shows nothing."""
    if isinstance(chunk, str):
        return bool(chunk)
    if isinstance(chunk, Reasoning):
        return bool(chunk.text)
    return isinstance(chunk, Content) and not isinstance(chunk, Skipped)


def takes_reason_back(chunk: Chunk) -> bool:
    """Whether a chunk after a finish reason shows that the answer goes on.

    Sources, and what goes back with the next turn, are also sent after the answer's last word.
    """
    return is_visible(chunk) and not isinstance(chunk, Citation)


def last_words(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks of an event that the end of the body cut short. They count only if the event itself is an end."""
    found: list[Chunk] = []
    try:
        for chunk in chunks:
            found.append(chunk)
    except ProviderFailure:
        yield from found
        raise
    if any(isinstance(chunk, Finish | Terminal) for chunk in found):
        yield from found
