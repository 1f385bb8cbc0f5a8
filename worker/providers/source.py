"""The source: a provider's answer as lists of chunks, one list per network read. Here providers meet I/O.

The one rule: on the way out, whatever the reason, the upstream connection is closed at once.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Protocol

from tokentail.job import FailureKind
from tokentail.request import GenerationRequest
from worker.chunk import (
    Accepted,
    Chunk,
    Finish,
    PositionLost,
    ProviderFailure,
    Terminal,
    position_lost,
    provider_failure,
)
from worker.providers.echo import without_echo
from worker.providers.provider import (
    HttpCall,
    HttpProvider,
    PacedProvider,
    Provider,
    ResumableProvider,
    StreamParser,
)

_MAX_ERROR_BYTES = 64 << 10
_ERROR_WAIT_S = 5.0  # for the body of an error
_FINISHED_WAIT_S = 5.0  # for usage and the end marker, once the model has finished
_KEEP_WAIT_S = 0.01  # for the body's end after the end marker, so that the connection can be used again
# What a provider says of an answer that it does not have, or does not stream any more: OpenAI says 400 after 5 minutes.
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-goog-request-id")
_LOST_STATUSES = frozenset({400, 404, 405, 410, 422})
_TURN_BYTES = 8 << 10  # before others get their turn: a read that need not wait does not give way
_READ_BYTES = 512  # for which a smaller read counts


class Answer(Protocol):
    """One HTTP answer whose body is still coming."""

    status: int
    headers: dict[str, str]  # names in lower case

    def read(self, timeout_s: float | None = None) -> bytes:
        """The bytes that are there, waiting for the first of them; empty at the end. Raises ProviderFailure."""
        ...

    def close(self) -> None:
        """Close the connection now, without reading what is still to come; harmless after the body's end."""
        ...


class Transport(Protocol):
    """Who carries calls to servers: `worker/transport.py`, or a test's fake."""

    def send(self, call: HttpCall) -> Answer:
        """Send the call; return as soon as status and headers are there. Raises ProviderFailure."""
        ...


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
) -> Iterator[Iterator[list[Chunk]]]:
    """Lists of chunks, never empty, as they come; the iterator ends only when the answer is complete.

    `resume_from` is the text of a Position of an earlier answer, which then goes on from there: iterating raises
    PositionLost, before any chunk, if it cannot. Each Position is in one list with the chunks that it covers.

    `model` is the full name as the request has it. Nothing is sent before the first `next`. Iterating raises
    ProviderFailure; deadlines are the caller's, who may raise anything into the iteration at any time. `sleep` and
    `clock` are in seconds; `sleep(0)` lets others run.
    """
    if resume_from:
        chunks = _resumed(provider, request, resume_from, transport, sleep, clock)
    elif isinstance(provider, PacedProvider):
        chunks = _paced(provider.steps(request, model), sleep, clock)
    elif isinstance(provider, HttpProvider):
        chunks = _streamed(provider, request, model, transport, sleep, clock)
    else:
        raise TypeError(f"{provider!r} is no provider that can be asked.")
    with closing(chunks):
        yield chunks


def _paced(
    steps: Generator[tuple[float, list[Chunk]]], sleep: Callable[[float], object], clock: Callable[[], float]
) -> Generator[list[Chunk]]:
    began = clock()
    with closing(steps):
        for due_s, chunks in steps:
            sleep(max(0.0, began + due_s - clock()))  # even of 0, so that others run
            yield chunks


def _streamed(
    provider: HttpProvider,
    request: GenerationRequest,
    model: str,
    transport: Transport,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
) -> Generator[list[Chunk]]:
    call = provider.call(request, model)
    accept = partial(_accepted, provider, call, transport, clock)
    yield from _answered(request, call, accept, provider.parser(), sleep, clock)


def _resumed(
    provider: Provider,
    request: GenerationRequest,
    position: str,
    transport: Transport,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
) -> Generator[list[Chunk]]:
    if not isinstance(provider, ResumableProvider):
        raise position_lost()  # the name is another provider's now
    call = provider.resume(position)
    accept = partial(_taken_up, provider, call, transport, clock)
    yield from _answered(request, call, accept, provider.resumed_parser(position), sleep, clock)


def _answered(
    request: GenerationRequest,
    call: HttpCall,
    accept: Callable[[], Answer],
    parser: StreamParser,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
) -> Generator[list[Chunk]]:
    try:
        with closing(accept()) as answer:
            if request_id := _request_id(answer):
                yield [Accepted(request_id)]
            yield from _chunks(answer, parser, sleep, clock)
    except PositionLost:
        raise  # its words are ours
    except ProviderFailure as failure:
        raise without_echo(failure, request, call) from None


def cancel_upstream(provider: Provider, position: str, transport: Transport) -> None:
    """Stop an answer that goes on without us, given any of its positions. Nothing is left to stop if it has ended.

    Raises ProviderFailure when the provider may not have heard; asking again does no harm.
    """
    if not isinstance(provider, ResumableProvider):
        return
    with closing(transport.send(provider.cancel(position))) as answer:
        if answer.status not in _LOST_STATUSES | {200, 409}:  # 409: it has ended
            raise _refusal(provider, answer, b"")


def _accepted(provider: HttpProvider, call: HttpCall, transport: Transport, clock: Callable[[], float]) -> Answer:
    """The answer with status 200, perhaps to an amended call. Each amendment removes its own cause, so this ends."""
    while True:
        answer = transport.send(call)
        if answer.status == 200:
            return answer
        with closing(answer):
            body, is_whole = _error_body(answer, clock)
        amended = provider.amended(call, answer.status, body) if is_whole else None
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
    body = b""
    deadline = clock() + _ERROR_WAIT_S
    try:
        while len(body) < _MAX_ERROR_BYTES and (left_s := deadline - clock()) > 0:
            received = answer.read(left_s)
            if not received:
                return body, True
            body += received
    except ProviderFailure:
        return body, False  # the status says most of it
    return body, False


def _chunks(
    answer: Answer, parser: StreamParser, sleep: Callable[[float], object], clock: Callable[[], float]
) -> Generator[list[Chunk]]:
    ending = _Ending(clock)
    turn = 0
    while not ending.is_marked:
        try:
            received = answer.read(ending.wait_s())
        except ProviderFailure:
            # A provider that says that the model has finished has sent the whole text. A connection that is lost
            # after that, or falls silent, costs at most the usage.
            if ending.is_finished:
                return
            raise
        chunks, failure = _parsed(parser.feed(received) if received else parser.finish())
        if chunks:
            ending.note(chunks)
            yield chunks
        if failure is not None:
            raise failure
        if not received:
            break
        turn += max(len(received), _READ_BYTES)
        if turn >= _TURN_BYTES:
            turn = 0
            sleep(0)
    if ending.is_marked:
        _keep(answer)
    elif not ending.is_finished:
        # A body that is delimited by the connection's end looks the same whether it is whole or cut: only the
        # provider's own word tells.
        message = "The provider's stream ended before the answer was complete."
        raise provider_failure(FailureKind.TRUNCATED, message, is_retryable=True, status=answer.status)


class _Ending:
    """What is known of the end of an answer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline: float | None = None
        self.is_marked = False  # the end marker was seen

    @property
    def is_finished(self) -> bool:
        """The model's last word was seen."""
        return self.is_marked or self._deadline is not None

    def note(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            if isinstance(chunk, Finish) and self._deadline is None:
                self._deadline = self._clock() + _FINISHED_WAIT_S
            elif isinstance(chunk, Terminal):
                self.is_marked = True

    def wait_s(self) -> float | None:
        """How long to wait for more; None leaves it to the caller's deadlines."""
        return None if self._deadline is None else max(0.001, self._deadline - self._clock())


def _parsed(chunks: Iterator[Chunk]) -> tuple[list[Chunk], ProviderFailure | None]:
    """What came before a failure counts: it must not depend on how the bytes were split."""
    found: list[Chunk] = []
    try:
        for chunk in chunks:
            found.append(chunk)
    except ProviderFailure as failure:
        return found, failure
    return found, None


def _keep(answer: Answer) -> None:
    """Read the end of a whole answer's body, if it is there, so that the connection goes back to the pool."""
    try:
        answer.read(_KEEP_WAIT_S)
    except ProviderFailure:
        return  # it is closed instead
