"""An answer's stream: reads the body of one call's answer to its end, as chunks, and judges whether it is whole.

The one rule: the last word is the end of the body, not a finish reason. The chunks of all dialects pass here, so that
all of them end by the same rules (docs/providers.md, "How an answer ends").
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial

from tokentail.jobs.job import FailureKind, FinishReason
from tokentail.jobs.request import GenerationRequest
from tokentail.log.element import Skipped
from worker.chunk import (
    Accepted,
    AnswerGoesOn,
    Chunk,
    Finish,
    Position,
    PositionLost,
    ProviderFailure,
    SignOfLife,
    Terminal,
    UsageReport,
    is_visible,
    provider_failure,
    takes_reason_back,
)
from worker.upstream.echo import without_echo
from worker.upstream.named_failure import with_address
from worker.upstream.provider import HttpCall, HttpProvider, StreamParser
from worker.upstream.seams import Answer, Aside, Silence

STIRRED: Chunk = SignOfLife()  # for bytes in which the dialect's parser found nothing: a comment, a part of an event
_KEEP_WAIT_S = 0.01  # for the body's end after the end marker, so that the connection can be used again
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-goog-request-id")
_TURN_BYTES = 8 << 10  # before others get their turn: a read that need not wait does not give way
_READ_BYTES = 512  # for which a smaller read counts
_MOST_NAMED = 10  # kinds of skipped content in a failure's message
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Turns:
    """How an answer's work and that of others take turns."""

    sleep: Callable[[float], object]
    clock: Callable[[], float]
    aside: Aside


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
        self.may_be_cut = False  # nothing tells the end of the body from a lost connection
        self.is_marked = False  # the dialect's own end marker was seen: there is nothing more to read

    def take(self, chunks: Iterable[Chunk]) -> None:
        """Take in what came."""
        for chunk in chunks:
            if isinstance(chunk, str):  # as nearly all are
                if chunk:
                    self._is_visible, self._finish = True, None
            elif takes_reason_back(chunk):
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
        """Whether the provider gave the reason why there is nothing to show."""
        return self._finish is not None and self._finish.reason is FinishReason.CONTENT_FILTER

    @property
    def _empty_message(self) -> str:
        skipped = f" Content that cannot be shown was skipped: {', '.join(self._skipped)}." if self._skipped else ""
        return f"The provider's answer was empty.{skipped}"

    def _no_last_word(self) -> ProviderFailure:
        """A second call costs as much as the first, and would end in the same way. Only to take the same answer up
        again costs nothing. But a body of no known length may have been cut, and the second one need not be."""
        is_retryable = bool(self.position) or (self.may_be_cut and not self.is_marked)
        message = "The provider's answer ended without a finish reason, so it may be incomplete."
        return provider_failure(FailureKind.TRUNCATED, message, is_retryable=is_retryable, status=200)


def answered(
    provider: HttpProvider,
    request: GenerationRequest,
    make_call: Callable[[], HttpCall],
    accept: Callable[[HttpCall], Answer],
    parser: StreamParser,
    ending: Ending,
    turns: Turns,
) -> Generator[list[Chunk]]:
    """The chunks of the answer to a call. `accept` sends the call and gives the answer with status 200."""
    call = turns.aside(make_call)
    try:
        with closing(accept(call)) as answer:
            call = replace(call, body=b"")  # it may be large, and the answer take minutes
            ending.may_be_cut = not answer.is_delimited
            if request_id := request_id_of(answer):
                yield [Accepted(request_id)]
            yield from _chunks(answer, parser, ending, turns)
    except (PositionLost, AnswerGoesOn):
        raise  # their words are ours
    except ProviderFailure as failure:
        raise named(failure, provider, request, call, turns) from None


def _chunks(answer: Answer, parser: StreamParser, ending: Ending, turns: Turns) -> Generator[list[Chunk]]:
    turn = 0
    while not ending.is_marked:
        try:
            received = answer.read()
        except (Silence, ProviderFailure) as error:
            is_ended = isinstance(error, Silence) and ending.has_reason  # the body is held open
            if held := _parsed(parser.finish())[0] if is_ended else [*parser.cut()]:
                yield held
            raise
        chunks, failure = _parsed(parser.feed(received) if received else parser.finish())
        if failure is not None:
            chunks += parser.cut()
        ending.take(chunks)
        if chunks or received:
            yield chunks or [STIRRED]
        if failure is not None:
            raise failure
        if not received:
            break
        turn += max(len(received), _READ_BYTES)
        if turn >= _TURN_BYTES:
            turn = 0
            turns.sleep(0)
    if ending.is_marked:
        _keep(answer)
    yield from ended(ending)


def ended(ending: Ending) -> Generator[list[Chunk]]:
    """Raises ProviderFailure if what has ended is no answer."""
    if (failure := ending.failure()) is None:
        return
    if failure.ends_answer and ending.position:
        yield [Position("")]
    raise failure


def named(
    failure: ProviderFailure, provider: HttpProvider, request: GenerationRequest, call: HttpCall, turns: Turns
) -> ProviderFailure:
    """The failure with the address that was called, and without words that repeat the request."""
    return with_address(without_echo(failure, request, call, partial(turns.sleep, 0)), provider)


def request_id_of(answer: Answer) -> str:
    """What the provider's support asks for: OpenAI, Anthropic and others each have a header for it."""
    found = next((answer.headers[name] for name in _REQUEST_ID_HEADERS if answer.headers.get(name)), "")
    return found[:100] if found.isascii() and found.isprintable() else ""


def _parsed(chunks: Iterator[Chunk]) -> tuple[list[Chunk], ProviderFailure | None]:
    """What came before a failure counts: it must not depend on how the bytes were split."""
    found: list[Chunk] = []
    try:
        found.extend(chunks)  # as far as it comes
    except ProviderFailure as failure:
        return found, failure
    return found, None


def _keep(answer: Answer) -> None:
    """Read the end of a whole answer's body, if it is there, so that the connection goes back to the pool."""
    with suppress(ProviderFailure):  # it is closed instead
        answer.read(_KEEP_WAIT_S)
