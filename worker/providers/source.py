"""The source: a provider's answer as lists of chunks, one list per network read. The only place where providers meet I/O.

The one rule: on the way out, whatever the reason, the upstream connection is closed at once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from tokentail.request import GenerationRequest
from worker.chunk import Chunk
from worker.providers.provider import HttpCall, Provider


class Answer(Protocol):
    """One HTTP answer whose body is still coming."""

    status: int
    headers: dict[str, str]  # names in lower case

    def read(self, timeout_s: float | None = None) -> bytes:
        """The bytes that are there, waiting for the first of them; empty at the end. Raises ProviderFailure."""
        ...

    def close(self) -> None:
        """Close the connection now, without reading what is still to come. Harmless when repeated."""
        ...


class Transport(Protocol):
    """Who carries calls to servers: `worker/transport.py`, or a test's fake."""

    def post(self, call: HttpCall) -> Answer:
        """Send the call; return as soon as the status and headers are there. Raises ProviderFailure."""
        ...


@contextmanager
def open_chunks(
    provider: Provider,
    request: GenerationRequest,
    model: str,
    transport: Transport,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Iterator[list[Chunk]]]:
    """Lists of chunks, never empty, as they come; the iterator ends only when the answer is complete.

    `model` is the full name as the request has it. Nothing is sent before the first `next`. Iterating raises
    ProviderFailure; deadlines are the caller's, who may raise anything into the iteration at any time.
    """
    raise NotImplementedError
    yield iter(())
