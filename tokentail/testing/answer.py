"""An answer as a test writes it: its pieces, their pace, where it stops, and how it ends."""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tokentail.jobs.job import FailureKind, FinishReason
from tokentail.log.element import Reasoning, ToolCall
from worker.chunk import Chunk, ProviderFailure, provider_failure

_RETRYABLE = {
    FailureKind.TIMEOUT,
    FailureKind.RATE_LIMITED,
    FailureKind.OVERLOADED,
    FailureKind.TRUNCATED,
    FailureKind.UNAVAILABLE,
}


@dataclass(frozen=True)
class Answer:
    """One answer of the model: its reasoning, then its text, then its tool calls.

    `text` and `reasoning` are sent word by word, or in the given pieces. Each `_after` is a number of the text's
    tokens. Raises ValueError for an unknown kind of failure or reason to finish.
    """

    text: str | Sequence[str] = ""
    reasoning: str | Sequence[str] = ""
    tool_calls: Sequence[ToolCall] = ()
    per_s: float = 0.0  # pieces per second; 0: everything at once
    holds_after: int | None = None  # the answer stops there until `release`
    restarts_after: int | None = None  # the answer is lost there, once, and begins again: readers receive a reset
    fails_with: str = ""  # a kind of failure, such as "overloaded"
    fails_after: int | None = None  # None: after the whole text
    finish_reason: str = ""  # "": "tool_calls" if there are some, else "stop"
    _released: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.fails_with:
            FailureKind(self.fails_with)
        elif self.fails_after is not None:
            raise ValueError("fails_after needs fails_with.")
        FinishReason(self.reason)

    def release(self) -> None:
        """Let the answer go on from where it holds, now or when it comes there."""
        self._released.set()

    @property
    def is_released(self) -> bool:
        """Whether `release` was called."""
        return self._released.is_set()

    @property
    def tokens(self) -> list[str]:
        """The text's pieces."""
        return _pieces(self.text)

    @property
    def chunks(self) -> list[Chunk]:
        """All pieces, in the order in which they are sent."""
        return [*self._thoughts, *self.tokens, *self.tool_calls]

    def chunks_before(self, tokens: int | None) -> int:
        """How many pieces are sent before the text's token of that number; all of them for None."""
        return len(self.chunks) if tokens is None else len(self._thoughts) + min(tokens, len(self.tokens))

    @property
    def reason(self) -> FinishReason:
        """Why the model stops."""
        return FinishReason(self.finish_reason or ("tool_calls" if self.tool_calls else "stop"))

    def failure(self) -> ProviderFailure | None:
        """How the answer fails, if it does."""
        if not self.fails_with:
            return None
        kind = FailureKind(self.fails_with)
        return provider_failure(kind, "The scripted answer fails.", is_retryable=kind in _RETRYABLE)

    @property
    def _thoughts(self) -> list[Reasoning]:
        return [Reasoning(piece) for piece in _pieces(self.reasoning)]


def _pieces(text: str | Sequence[str]) -> list[str]:
    return re.findall(r"\s*\S+\s*\Z|\s*\S+|\s+", text) if isinstance(text, str) else list(text)
