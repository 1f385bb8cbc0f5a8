"""Deltas: the pieces of one answer as chunks, as readers can join them. Pure.

Every character is whole: a half waits for its other half, in each text by itself, and what comes out can be written as
UTF-8. No text is said twice (`text.py`), and each tool call has one id, one name and one JSON value
(`tool_call.py`). Each dialect's content passes here, so these rules hold for all of them.
"""

from collections.abc import Iterator
from enum import Enum

from tokentail.jobs.job import FailureKind
from tokentail.log.element import Reasoning, Refusal
from tokentail.sse import MAX_EVENT_BYTES
from worker.chunk import Chunk, provider_failure
from worker.upstream.text import SaidText
from worker.upstream.tool_call import CallInPieces

MOST_TOOL_CALLS = 1024  # of one answer: parsers keep a little of each call until the answer's end


class Told(Enum):
    """What a provider tells with a text."""

    PIECE = "piece"  # the next piece
    LAST_PIECE = (
        "last piece"  # the next piece, with the last word: it may tell the whole text again, and go on after it
    )
    WHOLE = "whole"  # the whole text, of which pieces may have come


class Deltas:
    """One answer's texts: the visible one, reasoning, refusal, and the arguments of each tool call."""

    def __init__(self) -> None:
        self.visible = SaidText(may_be_cumulative=True)  # its `piece` is all that nearly every chunk needs
        self._reasoning = SaidText(may_be_cumulative=True)
        self._refusal = SaidText(may_be_cumulative=True)
        self._calls: dict[int, CallInPieces] = {}
        self._ids: set[str] = set()  # of the calls that have come out
        self._waiting_size = 0  # characters of calls that had no name yet when they came

    @property
    def is_holding(self) -> bool:
        """Whether something is waiting: half a character, a piece that may be a repetition, a call without a name."""
        texts = (self.visible, self._reasoning, self._refusal)
        return any(text.is_holding for text in texts) or any(call.is_holding for call in self._calls.values())

    def text(self, piece: str, told: Told = Told.PIECE) -> Iterator[Chunk]:
        """What this adds to the visible text."""
        if text := _added(self.visible, piece, told):
            yield text

    def part_ended(self) -> Iterator[Chunk]:
        """What waited of a block or an item of text or reasoning that has ended."""
        yield from self._told(self.visible.part_ended(), self._reasoning.part_ended())

    def reasoning(self, piece: str, told: Told = Told.PIECE) -> Iterator[Chunk]:
        """What this adds to the model's reasoning."""
        if text := _added(self._reasoning, piece, told):
            yield Reasoning(text)

    def refusal(self, piece: str, told: Told = Told.PIECE) -> Iterator[Chunk]:
        """What this adds to the model's refusal."""
        if text := _added(self._refusal, piece, told):
            yield Refusal(text)

    def tool_call(
        self,
        place: int,
        call_id: str,
        name: str,
        arguments: str,
        *,
        is_name_whole: bool = True,
        is_custom: bool = False,
    ) -> Iterator[Chunk]:
        """A piece of the call with our index `place`, any part of which may be empty; what can be shown of the call.

        A call is shown once its name is known, and at `rest` if it has none. Without `is_name_whole` the name may go on
        in the next piece; then it is shown with the first arguments, when the next call begins, or at `at_finish`. The
        input of a call that `is_custom` is any text, where others have JSON.

        Raises ProviderFailure (malformed) for a call beyond the limit, and for too much that waits for a name.
        """
        if (call := self._calls.get(place)) is None:
            for earlier in self._calls.values():
                yield from earlier.named()
            call = self._begun(place, is_custom=is_custom)
        elif call.goes_on:  # of which the kind was not known
            call.is_custom = is_custom
        found = list(call.take(call_id, name, arguments, is_name_whole=is_name_whole))
        if not found and not call.is_told:
            self._waiting_size += len(name) + len(arguments)
            if self._waiting_size > MAX_EVENT_BYTES:
                message = "The provider sent too much of tool calls without their names."
                raise provider_failure(FailureKind.MALFORMED, message)
        yield from found

    def goes_on(self, place: int, *, has_arguments: bool) -> None:
        """A tool call was shown in part, by the parser of an answer that is taken up again here."""
        self._begun(place, is_custom=False).go_on(has_arguments=has_arguments)

    def call(self, place: int) -> CallInPieces:
        """The call with our index `place`, which has begun."""
        return self._calls[place]

    def at_finish(self) -> Iterator[Chunk]:
        """What waited for more of its kind, once the provider has given a finish reason: pieces that may be cumulative,
        and calls of which the name may go on."""
        yield from self.cut()
        for call in self._calls.values():
            yield from call.named()

    def cut(self) -> Iterator[Chunk]:
        """Pieces of text that may be cumulative, once no more will come of an answer that broke off."""
        yield from self._told(self.visible.at_finish(), self._reasoning.at_finish(), self._refusal.at_finish())

    def rest(self) -> Iterator[Chunk]:
        """What was held back, now that the answer has ended. What comes after all is taken as ever."""
        yield from self._told(self.visible.rest(), self._reasoning.rest(), self._refusal.rest())
        for call in self._calls.values():
            yield from call.rest()

    @staticmethod
    def _told(visible: str, reasoning: str, refusal: str = "") -> Iterator[Chunk]:
        if visible:
            yield visible
        if reasoning:
            yield Reasoning(reasoning)
        if refusal:
            yield Refusal(refusal)

    def _begun(self, place: int, *, is_custom: bool) -> CallInPieces:
        if place >= MOST_TOOL_CALLS:
            message = f"The provider sent more than {MOST_TOOL_CALLS} tool calls in one answer."
            raise provider_failure(FailureKind.MALFORMED, message)
        call = self._calls[place] = CallInPieces(place, self._ids, is_custom=is_custom)
        return call


def _added(said: SaidText, piece: str, told: Told) -> str:
    if told is Told.PIECE:
        return said.piece(piece)
    return said.last_piece(piece) if told is Told.LAST_PIECE else said.whole(piece)
