"""The seams of the source: what carries its calls, and what works aside. Values and protocols only."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from worker.upstream.provider import HttpCall

Result = TypeVar("Result")


class Silence(BaseException):
    """Raised into a read from outside: the caller waits no longer for what the answer may still have.

    It is neither an Exception nor a failure of the provider, so that nothing on the way swallows it.
    """


class Aside(Protocol):
    """Runs what costs much CPU without keeping other jobs waiting (`worker/running/worker_thread.py`)."""

    def __call__(self, work: Callable[[], Result], /) -> Result: ...


class Answer(Protocol):
    """One HTTP answer whose body is still coming."""

    status: int
    headers: dict[str, str]  # names in lower case
    is_delimited: bool  # whether the end of the body shows that it is whole

    def read(self, timeout_s: float | None = None) -> bytes:
        """The bytes that are there, waiting for the first of them; empty at the end. Raises ProviderFailure."""
        ...

    def close(self) -> None:
        """Close the connection now, without reading what is still to come; harmless after the body's end."""
        ...


class Transport(Protocol):
    """What carries calls to servers: `worker/upstream/transport.py`, or a test's fake."""

    def send(self, call: HttpCall) -> Answer:
        """Send the call; return as soon as status and headers are there. Raises ProviderFailure."""
        ...
