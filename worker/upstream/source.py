"""The source: a provider's answer as lists of chunks, one list per network read. Here providers meet I/O.

The one rule: on the way out, whatever the reason, the upstream connection is closed at once.
"""

import operator
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from tokentail.jobs.request import GenerationRequest
from worker.chunk import (
    Accepted,
    AnswerGoesOn,
    Chunk,
    Position,
    PositionLost,
    ProviderFailure,
    SignOfLife,
    position_lost,
)
from worker.dialects.echo import without_echo
from worker.upstream.ending import Ending
from worker.upstream.provider import (
    HttpCall,
    HttpProvider,
    KeepingProvider,
    PacedProvider,
    Provider,
    ResumableProvider,
    StreamParser,
)
from worker.upstream.seams import Answer, Aside, Silence, Transport
from worker.upstream.stored_answer import Shown, stored_chunks

_MAX_ERROR_BYTES = 64 << 10
_ERROR_WAIT_S = 5.0  # for the body of an error
_KEEP_WAIT_S = 0.01  # for the body's end after the end marker, so that the connection can be used again
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-goog-request-id")
# What a provider says of an answer that it does not have, or does not stream any more: OpenAI says 400 after 5 minutes.
_LOST_STATUSES = frozenset({400, 404, 405, 410, 422})
_TURN_BYTES = 8 << 10  # before others get their turn: a read that need not wait does not give way
STIRRED: Chunk = SignOfLife()  # for bytes in which the dialect's parser found nothing: a comment, a part of an event
_READ_BYTES = 512  # for which a smaller read counts


@dataclass(frozen=True)
class _Turns:
    """How an answer's work and that of others take turns."""

    sleep: Callable[[float], object]
    clock: Callable[[], float]
    aside: Aside


@contextmanager
def open_chunks(
    provider: Provider,
    request: GenerationRequest,
    model: str,
    transport: Transport,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    *,
    resume_from: str = "",
    shown: Shown = tuple,
    is_shown: bool = False,
    is_stored: bool = False,
    aside: Aside = operator.call,
) -> Iterator[Iterator[list[Chunk]]]:
    """Lists of chunks, never empty, as they come; the iterator ends only when the answer is complete.

    `resume_from` is the text of a Position of an earlier answer, which then goes on from there: iterating raises
    PositionLost, before any chunk, if it cannot. `is_shown` says that this answer has shown something already. Each
    Position is in one list with the chunks that it covers.

    Where a provider keeps its answers, one that cannot be streamed from there is taken from what is stored, beyond what
    was `shown`; with `is_stored`, its stream is not asked for.

    `model` is the full name as the request has it. Nothing is sent before the first `next`. Iterating raises
    ProviderFailure; deadlines are the caller's, and it may raise any error into the iteration at any time. `sleep` and
    `clock` are in seconds; `sleep(0)` lets others run. `aside` is given what takes long for a large request.
    """
    turns = _Turns(sleep, clock, aside)
    if resume_from:
        is_reason_needed = isinstance(provider, HttpProvider) and provider.needs_reason
        ending = Ending(needs_reason=is_reason_needed, is_shown=is_shown, position=resume_from)
        chunks = _resumed(provider, request, model, resume_from, transport, turns, ending, is_stored=is_stored)
        if isinstance(provider, KeepingProvider):
            chunks = _or_stored(chunks, provider, request, resume_from, transport, turns, ending, shown)
    elif isinstance(provider, PacedProvider):
        chunks = _paced(provider.steps(request, model), turns)
    elif isinstance(provider, HttpProvider):
        chunks = _streamed(provider, request, model, transport, turns)
    else:
        raise TypeError(f"{provider!r} is no provider that can be asked.")
    with closing(chunks):
        yield chunks


def _paced(steps: Generator[tuple[float, list[Chunk]]], turns: _Turns) -> Generator[list[Chunk]]:
    began = turns.clock()
    with closing(steps):
        for due_s, chunks in steps:
            turns.sleep(max(0.0, began + due_s - turns.clock()))  # even of 0, so that others run
            yield chunks


def _streamed(
    provider: HttpProvider, request: GenerationRequest, model: str, transport: Transport, turns: _Turns
) -> Generator[list[Chunk]]:
    call = turns.aside(partial(provider.call, request, model))
    accept = partial(_accepted, provider, call, transport, turns)
    ending = Ending(needs_reason=provider.needs_reason)
    yield from _answered(request, call, accept, provider.parser(), ending, turns)


def _resumed(
    provider: Provider,
    request: GenerationRequest,
    model: str,
    position: str,
    transport: Transport,
    turns: _Turns,
    ending: Ending,
    *,
    is_stored: bool,
) -> Generator[list[Chunk]]:
    if is_stored or not isinstance(provider, ResumableProvider):
        raise position_lost()  # or the name is another provider's now
    call = turns.aside(partial(provider.resume, position, request, model))
    accept = partial(_taken_up, provider, call, transport, turns.clock)
    yield from _answered(request, call, accept, provider.resumed_parser(position), ending, turns)


def _or_stored(
    streamed: Generator[list[Chunk]],
    provider: KeepingProvider,
    request: GenerationRequest,
    position: str,
    transport: Transport,
    turns: _Turns,
    ending: Ending,
    shown: Shown,
) -> Generator[list[Chunk]]:
    try:
        yield from streamed
        return
    except PositionLost:
        call = provider.stored(position)
    accept = partial(_taken_up, provider, call, transport, turns.clock)
    try:
        for chunks in stored_chunks(provider, accept, shown, turns.sleep):
            ending.take(chunks)
            yield chunks
        yield from _ended(ending)
    except PositionLost:
        raise
    except ProviderFailure as failure:
        raise _unechoed(failure, request, call, turns) from None


def _answered(
    request: GenerationRequest,
    call: HttpCall,
    accept: Callable[[], Answer],
    parser: StreamParser,
    ending: Ending,
    turns: _Turns,
) -> Generator[list[Chunk]]:
    try:
        with closing(accept()) as answer:
            if request_id := _request_id(answer):
                yield [Accepted(request_id)]
            yield from _chunks(answer, parser, ending, turns)
    except (PositionLost, AnswerGoesOn):
        raise  # their words are ours
    except ProviderFailure as failure:
        raise _unechoed(failure, request, call, turns) from None


def _unechoed(failure: ProviderFailure, request: GenerationRequest, call: HttpCall, turns: _Turns) -> ProviderFailure:
    return without_echo(failure, request, call, partial(turns.sleep, 0))


def cancel_upstream(provider: Provider, position: str, transport: Transport) -> None:
    """Stop an answer that goes on without us, given any of its positions. Nothing is left to stop if it has ended.

    Raises ProviderFailure when the provider may not have heard; asking again does no harm.
    """
    if not isinstance(provider, KeepingProvider):
        return
    with closing(transport.send(provider.cancel(position))) as answer:
        if answer.status not in _LOST_STATUSES | {200, 409}:  # 409: it has ended
            raise _refusal(provider, answer, b"")


def _accepted(provider: HttpProvider, call: HttpCall, transport: Transport, turns: _Turns) -> Answer:
    """The answer with status 200, perhaps to an amended call. Each amendment removes its own cause, so this ends."""
    while True:
        answer = transport.send(call)
        if answer.status == 200:
            return answer
        with closing(answer):
            body, is_whole = _error_body(answer, turns.clock)
        amended = turns.aside(partial(provider.amended, call, answer.status, body)) if is_whole else None
        if amended is None:
            raise _refusal(provider, answer, body)
        call = amended


def _taken_up(provider: HttpProvider, call: HttpCall, transport: Transport, clock: Callable[[], float]) -> Answer:
    """The answer with status 200 to a call that goes on with an earlier one. Raises PositionLost where it is gone."""
    answer = transport.send(call)
    if answer.status == 200:
        return answer
    with closing(answer):
        if answer.status in _LOST_STATUSES:
            raise position_lost(answer.status)
        raise _refusal(provider, answer, _error_body(answer, clock)[0])


def _refusal(provider: HttpProvider, answer: Answer, body: bytes) -> ProviderFailure:
    failure = provider.failure(answer.status, answer.headers, body)
    failure.request_id = _request_id(answer)
    return failure


def _request_id(answer: Answer) -> str:
    """What the provider's support asks for: OpenAI, Anthropic and others each have a header for it."""
    found = next((answer.headers[name] for name in _REQUEST_ID_HEADERS if answer.headers.get(name)), "")
    return found[:100] if found.isascii() and found.isprintable() else ""


def _error_body(answer: Answer, clock: Callable[[], float]) -> tuple[bytes, bool]:
    """As much of an error as comes soon and is worth reading, and whether that is all of it."""
    body = bytearray()
    deadline = clock() + _ERROR_WAIT_S
    try:
        while len(body) < _MAX_ERROR_BYTES and (left_s := deadline - clock()) > 0:
            received = answer.read(left_s)
            if not received:
                return bytes(body), True
            body += received
    except ProviderFailure:
        return bytes(body), False  # the status says most of it
    return bytes(body), False


def _chunks(answer: Answer, parser: StreamParser, ending: Ending, turns: _Turns) -> Generator[list[Chunk]]:
    turn = 0
    while not ending.is_marked:
        try:
            received = answer.read()
        except Silence:
            if ending.has_reason and (held := _parsed(parser.finish())[0]):
                yield held  # the parser waited for the end of a body that is held open
            raise
        chunks, failure = _parsed(parser.feed(received) if received else parser.finish())
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
    yield from _ended(ending)


def _ended(ending: Ending) -> Generator[list[Chunk]]:
    """Raises ProviderFailure if what has ended is no answer."""
    if (failure := ending.failure()) is None:
        return
    if failure.ends_answer and ending.position:
        yield [Position("")]
    raise failure


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
