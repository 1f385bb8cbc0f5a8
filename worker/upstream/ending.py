"""The ending of an answer: whether it is whole, from its chunks and from how its body ended. Pure.

The one rule: the last word is the end of the body, not a finish reason. The chunks of all dialects pass here, so that
all of them end by the same rules (docs/providers.md, "How an answer ends").
"""

from collections.abc import Iterable, Iterator

from tokentail.jobs.job import FailureKind, FinishReason
from tokentail.log.element import Citation, Content, Reasoning, Skipped
from worker.chunk import (
    Chunk,
    Finish,
    Position,
    ProviderFailure,
    Terminal,
    UsageReport,
    provider_failure,
)

_MOST_NAMED = 10  # kinds of skipped content in a failure's message
_LONGEST_NAME = 40


class Ending:
    """What is known of the end of one call's answer. `take` each list of chunks; `failure` when the body has ended."""

    def __init__(self, *, needs_reason: bool, is_shown: bool = False, position: str = "") -> None:
        """`is_shown` and `position` are those of an answer that is taken up again, when the call is made.

        Without `needs_reason`, an answer that ends in good order without a finish reason is whole.
        """
        self._needs_reason = needs_reason
        self._is_visible = is_shown
        self.position = position  # from which the answer can be taken up again
        self._finish: Finish | None = None
        self._output_tokens = 0
        self._skipped: dict[str, None] = {}  # the provider's words, in the order in which they came
        self.is_marked = False  # the dialect's own end marker was seen: there is nothing more to read

    def take(self, chunks: Iterable[Chunk]) -> None:
        """Take in what came."""
        for chunk in chunks:
            if takes_reason_back(chunk):
                self._is_visible = True
                self._finish = None
            elif isinstance(chunk, Finish):
                self._finish = chunk
            elif isinstance(chunk, Terminal):
                self.is_marked = True
            elif isinstance(chunk, UsageReport):
                self._output_tokens = chunk.usage.output_tokens or self._output_tokens
            elif isinstance(chunk, Position):
                self.position = chunk.text
            elif isinstance(chunk, Skipped):
                if len(self._skipped) < _MOST_NAMED:
                    self._skipped[chunk.provider_type[:_LONGEST_NAME]] = None
            elif is_visible(chunk):
                self._is_visible = True

    @property
    def has_reason(self) -> bool:
        """Whether the latest content has a finish reason after it."""
        return self._finish is not None

    def failure(self) -> ProviderFailure | None:
        """What is wrong with an answer whose body has ended in good order, or whose end marker was seen."""
        is_cut = self._finish is None and self.position != ""  # the rest can be fetched
        if not (self._is_visible or self._output_tokens or self._is_filtered or is_cut):
            empty = provider_failure(FailureKind.UNAVAILABLE, self._empty_message, is_retryable=True, status=200)
            empty.ends_answer = True
            return empty
        return self._no_last_word() if self._finish is None and self._needs_reason else None

    @property
    def _is_filtered(self) -> bool:
        """Whether the provider says itself why there is nothing to show."""
        return self._finish is not None and self._finish.reason is FinishReason.CONTENT_FILTER

    @property
    def _empty_message(self) -> str:
        skipped = f" Content that cannot be shown was skipped: {', '.join(self._skipped)}." if self._skipped else ""
        return f"The provider's answer was empty.{skipped}"

    def _no_last_word(self) -> ProviderFailure:
        """A second call costs as much as the first, and would end in the same way. Only to take the same answer up
        again costs nothing."""
        message = "The provider's answer ended without a finish reason, so it may be incomplete."
        return provider_failure(FailureKind.TRUNCATED, message, is_retryable=bool(self.position), status=200)


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
    """The chunks of an event that the end of the body cut short. They count only if it says the end by itself."""
    found: list[Chunk] = []
    try:
        for chunk in chunks:
            found.append(chunk)
    except ProviderFailure:
        yield from found
        raise
    if any(isinstance(chunk, Finish | Terminal) for chunk in found):
        yield from found
