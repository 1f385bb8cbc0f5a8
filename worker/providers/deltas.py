"""Deltas: the pieces of text of one answer as chunks, every character whole. Pure.

A half of a character waits for its other half, in each text by itself; what comes out can be written as UTF-8.
"""

from collections import defaultdict
from collections.abc import Iterator
from enum import Enum

from tokentail.element import Reasoning, Refusal, ToolCall
from worker.chunk import Chunk
from worker.providers.surrogate_joiner import SurrogateJoiner, paired


class _Kind(Enum):
    TEXT = "text"
    REASONING = "reasoning"
    REFUSAL = "refusal"


class Deltas:
    """One answer's texts: the visible one, reasoning, refusal, and the arguments of each tool call."""

    def __init__(self) -> None:
        self._joiners: defaultdict[_Kind | int, SurrogateJoiner] = defaultdict(SurrogateJoiner)
        self._text = self._joiners[_Kind.TEXT]

    @property
    def is_holding(self) -> bool:
        """Whether a half of a character is waiting."""
        return any(joiner.is_holding for joiner in self._joiners.values())

    def piece(self, piece: str) -> str:
        """The visible text that this piece completes; empty when all of it has to wait."""
        return self._text.join(piece)

    def text(self, piece: str) -> Iterator[Chunk]:
        if text := self._text.join(piece):
            yield text

    def reasoning(self, piece: str) -> Iterator[Chunk]:
        if text := self._joiners[_Kind.REASONING].join(piece):
            yield Reasoning(text)

    def refusal(self, piece: str) -> Iterator[Chunk]:
        if text := self._joiners[_Kind.REFUSAL].join(piece):
            yield Refusal(text)

    def tool_call(self, place: int, call_id: str, name: str, arguments: str) -> Iterator[Chunk]:
        """A piece of the call with our index `place`; nothing where all of it is empty or has to wait."""
        arguments = self._joiners[place].join(arguments)
        if call_id or name or arguments:
            yield ToolCall(place, paired(call_id), paired(name), arguments)

    def rest(self) -> Iterator[Chunk]:
        """The halves of characters whose other halves will not come any more."""
        for kind, joiner in self._joiners.items():
            if not (text := joiner.rest()):
                continue
            if kind is _Kind.TEXT:
                yield text
            elif kind is _Kind.REASONING:
                yield Reasoning(text)
            elif kind is _Kind.REFUSAL:
                yield Refusal(text)
            elif isinstance(kind, int):
                yield ToolCall(kind, "", "", text)
