"""The stored answer: what a provider keeps of an answer whose stream cannot be read any more.

It is asked for again and again until it has ended, and is then taken whole: it has been paid for, so no failure of it
is a reason to ask for another.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any

from tokentail.jobs.job import FailureKind
from worker.chunk import BegunAnew, Chunk, Position, PositionLost, ProviderFailure, SignOfLife, provider_failure
from worker.upstream.beyond import beyond
from worker.upstream.provider import KeepingProvider
from worker.upstream.seams import Answer

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 5.0  # between two looks
_LONGEST_WISH_S = 60.0  # that a provider asks to be left alone
_MOST_FAILURES = 8  # in a row
_READ_WAIT_S = 30.0
_MOST_BYTES = 64 << 20

Shown = Callable[[], Iterable[Any]]  # the elements of the log, as JSON values, that show the answer so far


def stored_chunks(
    provider: KeepingProvider,
    accept: Callable[[], Answer],
    shown: Shown,
    sleep: Callable[[float], object],
) -> Generator[list[Chunk]]:
    """Signs of life while the answer goes on, then what it has beyond what was shown.

    `accept` sends the call; it raises PositionLost where the provider does not have the answer. Where the answer
    contradicts what was shown, all of it comes after a BegunAnew. Raises ProviderFailure, which is final if it is the
    outcome of the answer itself.
    """
    pause_s, failures = _FIRST_PAUSE_S, 0
    while True:
        wish_s = 0.0
        try:
            with closing(accept()) as answer:
                found = provider.stored_chunks(_body(answer))
        except PositionLost:
            raise
        except ProviderFailure as failure:
            failures += 1
            if not failure.failure.is_retryable or failures > _MOST_FAILURES:
                raise
            wish_s = min(failure.retry_after_s or 0.0, _LONGEST_WISH_S)
        else:
            if found is not None:
                break
            failures = 0
            yield [SignOfLife()]
        sleep(max(pause_s, wish_s))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
    whole: list[Chunk] = []
    outcome: ProviderFailure | None = None
    try:
        whole.extend(found)  # extends as far as it comes
    except ProviderFailure as failure:
        outcome = failure
    left = beyond(shown(), whole)
    if outcome is None:
        yield [BegunAnew(), *whole] if left is None else left
        return
    yield [*(left or ()), Position("")]  # an answer that has failed is not taken up again
    outcome.is_final = True
    raise outcome


def _body(answer: Answer) -> bytes:
    body = bytearray()
    while received := answer.read(_READ_WAIT_S):
        body += received
        if len(body) > _MOST_BYTES:
            raise provider_failure(FailureKind.MALFORMED, f"The stored answer is larger than {_MOST_BYTES} bytes.")
    return bytes(body)
