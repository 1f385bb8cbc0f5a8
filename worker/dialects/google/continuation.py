"""Gemini's continuation tokens: places from which an answer can be continued by another call. Sans I/O.

An answer above what one call may write ends its body with the reason CONTINUATION and a token; tokens also come amid a
stream, for streams that are cut. The call is then made again, with the token. The provider repeats what was
shown behind the latest token; it is left out if it is the same, and the place is lost if it differs.
Format: `continuation_token` and `StreamContinuation` in google-genai 3.6.1
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import msgspec

from tokentail.jobs.job import Failure, FailureKind, Usage
from tokentail.log.counts import counts_text, parse_counts
from tokentail.log.element import Content, Skipped
from worker.chunk import AnswerGoesOn, Chunk, Finish, Position, UsageReport, is_visible, position_lost, provider_failure
from worker.dialects.google.parser import GeminiParser
from worker.dialects.google.parts import Shown

_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{1,16384}", re.ASCII)
_BEFORE = re.compile(r"(\d{1,9}) (\d{1,9})(?:a(\d{1,9}))? (\d{1,9}) (\d{1,10}) (.*)", re.ASCII)
_ENDED = "CONTINUATION"


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    continuation_token: Any = None
    finish_reason: Any = None
    snake_token: Any = msgspec.field(name="continuation_token", default=None)  # some gateways' spelling
    snake_finish_reason: Any = msgspec.field(name="finish_reason", default=None)


class _Response(msgspec.Struct, gc=False):
    candidates: list[_Candidate] | None = None


_decoder = msgspec.json.Decoder(_Response)


@dataclass(frozen=True)
class GeminiPosition:
    """A token, what was shown and counted until it, and the text that was shown behind it: its length and checksum."""

    token: str
    before: Shown
    usage: Usage | None = None
    shown: int = 0
    checksum: int = 0

    @property
    def text(self) -> str:
        """What `parse_gemini_position` understands."""
        sound = "" if self.before.audio is None else f"a{self.before.audio}"
        before = f"{self.before.calls} {self.before.media}{sound} {self.before.codes}"
        return f"{self.token} {before} {self.checksum} {counts_text(self.usage, self.shown)}"


def parse_gemini_position(text: str) -> GeminiPosition:
    """The position with this text. Raises PositionLost for one that was never given here."""
    token, _, rest = text.partition(" ")
    if (found := _BEFORE.fullmatch(rest)) is None:
        raise position_lost()
    before = Shown(int(found[1]), int(found[2]), int(found[4]), int(found[3]) if found[3] else None)
    usage, shown = parse_counts(found[6])
    position = GeminiPosition(token, before, usage, shown, int(found[5]))
    if not _TOKEN.fullmatch(token) or position.text != text:
        raise position_lost()
    return position


class ContinuedParser(GeminiParser):
    """One call's parser, which says where the answer can be continued. Given a position it goes on from there."""

    def __init__(self, position: GeminiPosition | None = None) -> None:
        super().__init__(position.before if position else None)
        self._began = self._position = position
        self._earlier = position.usage if position else None  # of the calls before
        self._counted = self._earlier  # of all calls
        self._again = "" if position and position.shown else None  # what was shown before and was said once more
        self._has_content = False

    def finish(self) -> Iterator[Chunk]:
        yield from super().finish()
        if self._again is not None:
            raise position_lost()

    def _chunks(self, text: str) -> Iterator[Chunk]:
        token, is_end = _continuation(text) if "ontinuation" in text else ("", False)
        goes_on = is_end and bool(token) and (self._began is None or token != self._began.token)
        for chunk in super()._chunks(text):
            if isinstance(chunk, UsageReport):
                self._counted = _sum(self._earlier, chunk.usage)
                yield UsageReport(self._counted)
            elif isinstance(chunk, str):
                yield from self._text(chunk)
            elif not (goes_on and isinstance(chunk, Finish)):
                yield chunk
                self._has_content = self._has_content or is_visible(chunk)
                if isinstance(chunk, Content) and not isinstance(chunk, Skipped):
                    yield from self._moved(None)  # only repeated text is recognised
        if token and (shown := self._parts.shown) is not None:
            yield from self._moved(GeminiPosition(token, shown, self._counted))
        if goes_on:
            raise self._another_call()

    def _waiting(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield from self._text(chunk) if isinstance(chunk, str) else (chunk,)

    def _text(self, piece: str) -> Iterator[Chunk]:
        began = self._began
        if self._again is not None and began is not None:
            self._again += piece
            if len(self._again) < began.shown:
                return
            if _checksum(self._again[: began.shown]) != began.checksum:
                raise position_lost()
            piece = self._again[began.shown :]
            self._again = None
        if piece:
            self._has_content = True
            yield piece
            if (here := self._position) is not None:
                shown, checksum = here.shown + len(piece), _checksum(piece, here.checksum)
                yield from self._moved(replace(here, usage=self._counted, shown=shown, checksum=checksum))

    def _moved(self, position: GeminiPosition | None) -> Iterator[Chunk]:
        if position != self._position:
            self._position = position
            yield Position(position.text if position else "")

    def _another_call(self) -> Exception:
        if self._has_content:
            message = "The provider continues its answer in another call."
            return AnswerGoesOn(Failure(FailureKind.UNAVAILABLE, message, is_retryable=True))
        message = "The provider asked for another call, and showed nothing in this one."
        return provider_failure(FailureKind.UNAVAILABLE, message, is_retryable=True, status=200)


def _continuation(text: str) -> tuple[str, bool]:
    """The token in an event, and whether the provider ends the body there."""
    try:
        candidates = _decoder.decode(text).candidates or []
    except (msgspec.DecodeError, UnicodeError):
        return "", False  # the parser tells what is wrong with it
    for candidate in candidates:
        token = candidate.continuation_token or candidate.snake_token
        if isinstance(token, str) and _TOKEN.fullmatch(token):
            return token, _ENDED in (candidate.finish_reason, candidate.snake_finish_reason)
    return "", False


def _checksum(text: str, before: int = 0) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"), before)


def _sum(earlier: Usage | None, usage: Usage) -> Usage:
    """Each call is counted by itself."""
    if earlier is None:
        return usage

    def added(one: int | None, other: int | None) -> int | None:
        return None if one is None and other is None else (one or 0) + (other or 0)

    return Usage(
        input_tokens=added(earlier.input_tokens, usage.input_tokens),
        output_tokens=added(earlier.output_tokens, usage.output_tokens),
        reasoning_tokens=added(earlier.reasoning_tokens, usage.reasoning_tokens),
        cached_tokens=added(earlier.cached_tokens, usage.cached_tokens),
    )
