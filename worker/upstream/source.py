"""The source: a provider's answer as lists of chunks, one list per network read. Here providers meet I/O.

The one rule: on the way out, whatever the reason, the upstream connection is closed at once.
"""

import operator
import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial

from tokentail.jobs.request import GenerationRequest
from worker.chunk import Chunk, PositionLost, ProviderFailure, position_lost
from worker.upstream.answer_stream import Ending, Turns, answered, ended, named, request_id_of
from worker.upstream.provider import (
    HttpCall,
    HttpProvider,
    KeepingProvider,
    PacedProvider,
    Provider,
    ResumableProvider,
)
from worker.upstream.seams import Answer, Aside, Transport
from worker.upstream.stored_answer import Shown, stored_chunks

_MAX_ERROR_BYTES = 64 << 10
_ERROR_WAIT_S = 5.0  # for the body of an error
_ANSWERED = frozenset({200, 201})  # some frameworks answer every POST with 201
# What a provider says of an answer that it does not have, or does not stream any more: OpenAI says 400 after 5 minutes.
_LOST_STATUSES = frozenset({400, 404, 405, 410, 422})


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
) -> closing[Generator[list[Chunk]]]:
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
    turns = Turns(sleep, clock, aside)
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
    return closing(chunks)


def _paced(steps: Generator[tuple[float, list[Chunk]]], turns: Turns) -> Generator[list[Chunk]]:
    began = turns.clock()
    with closing(steps):
        for due_s, chunks in steps:
            turns.sleep(max(0.0, began + due_s - turns.clock()))  # even of 0, so that others run
            yield chunks


def _streamed(
    provider: HttpProvider, request: GenerationRequest, model: str, transport: Transport, turns: Turns
) -> Generator[list[Chunk]]:
    make_call = partial(provider.call, request, model)
    accept = partial(_accepted, provider, transport, turns)
    ending = Ending(needs_reason=provider.needs_reason)
    return answered(provider, request, make_call, accept, provider.parser(), ending, turns)


def _resumed(
    provider: Provider,
    request: GenerationRequest,
    model: str,
    position: str,
    transport: Transport,
    turns: Turns,
    ending: Ending,
    *,
    is_stored: bool,
) -> Generator[list[Chunk]]:
    if is_stored or not isinstance(provider, ResumableProvider):
        raise position_lost()  # or the name is another provider's now
    make_call = partial(provider.resume, position, request, model)
    accept = partial(_taken_up, provider, transport, turns.clock)
    yield from answered(provider, request, make_call, accept, provider.resumed_parser(position), ending, turns)


def _or_stored(
    streamed: Generator[list[Chunk]],
    provider: KeepingProvider,
    request: GenerationRequest,
    position: str,
    transport: Transport,
    turns: Turns,
    ending: Ending,
    shown: Shown,
) -> Generator[list[Chunk]]:
    try:
        yield from streamed
        return
    except PositionLost:
        call = provider.stored(position)
    accept = partial(_taken_up, provider, transport, turns.clock, call)
    try:
        for chunks in stored_chunks(provider, accept, shown, turns.sleep):
            ending.take(chunks)
            yield chunks
        yield from ended(ending)
    except PositionLost:
        raise
    except ProviderFailure as failure:
        raise named(failure, provider, request, call, turns) from None


def cancel_upstream(provider: Provider, position: str, transport: Transport) -> None:
    """Stop an answer that goes on without us, given any of its positions. Nothing is left to stop if it has ended.

    Raises ProviderFailure when the provider may not have received it; asking again does no harm.
    """
    if not isinstance(provider, KeepingProvider):
        return
    with closing(transport.send(provider.cancel(position))) as answer:
        if answer.status not in _LOST_STATUSES | {200, 409}:  # 409: it has ended
            raise _refusal(provider, answer, b"")


def _accepted(provider: HttpProvider, transport: Transport, turns: Turns, call: HttpCall) -> Answer:
    """The answer with status 200, perhaps to an amended call. Each amendment removes its own cause, so this ends."""
    while True:
        answer = transport.send(call)
        if answer.status in _ANSWERED:
            return answer
        with closing(answer):
            body, is_whole = _error_body(answer, turns.clock)
        amended = turns.aside(partial(provider.amended, call, answer.status, body)) if is_whole else None
        if amended is None:
            raise _refusal(provider, answer, body)
        call = amended


def _taken_up(provider: HttpProvider, transport: Transport, clock: Callable[[], float], call: HttpCall) -> Answer:
    """The answer with status 200 to a call that goes on with an earlier one. Raises PositionLost where it is gone."""
    answer = transport.send(call)
    if answer.status in _ANSWERED:
        return answer
    with closing(answer):
        if answer.status in _LOST_STATUSES:
            raise position_lost(answer.status)
        raise _refusal(provider, answer, _error_body(answer, clock)[0])


def _refusal(provider: HttpProvider, answer: Answer, body: bytes) -> ProviderFailure:
    failure = provider.failure(answer.status, answer.headers, body)
    failure.request_id = request_id_of(answer)
    return failure


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
        return bytes(body), False  # the status has most of the meaning
    return bytes(body), False
