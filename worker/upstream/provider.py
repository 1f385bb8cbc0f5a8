"""The seams of a provider: what one file per provider implements, and what its dialect is read with.

Providers are pure: they make calls and give answers their meaning. `source.py` does the I/O, through the transport.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tokentail.jobs.models import ServedModel
from tokentail.jobs.request import GenerationRequest
from worker.chunk import Chunk, ProviderFailure


@dataclass(frozen=True, slots=True)
class HttpCall:
    """What to send. Headers hold the key, the body holds the prompt, an address may hold credentials: none shows."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    method: str = "POST"
    secrets: tuple[str, ...] = field(default=(), repr=False)  # the deployment's own, in headers or address


class StreamParser(Protocol):
    """One answer's parser, from bytes to chunks; sans I/O, one per stream."""

    def feed(self, received: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete, perhaps none.

        Raises ProviderFailure for what the provider reports and for what cannot be read, after the chunks that
        came before it; nothing may be fed after that.
        """
        ...

    def finish(self) -> Iterator[Chunk]:
        """What was held back, now that the body has ended; `answer_stream.py` decides whether it ended well.

        Raises ProviderFailure for a body that was no stream.
        """
        ...

    def cut(self) -> Iterator[Chunk]:
        """Text that waited for the next piece, now that the body broke off."""
        ...


class Provider(Protocol):
    """Somebody who answers requests for the models that `served` names."""

    name: str
    served: ServedModel


@runtime_checkable
class HttpProvider(Provider, Protocol):
    """A provider behind HTTP. `model` is the full name, as the request has it.

    `needs_reason` says that an answer is whole only if it has a finish reason. `address` is the scheme, host and port
    that its calls go to, and `key_source` says where
    its key comes from; both are for operators.
    """

    needs_reason: bool
    address: str
    key_source: str

    def call(self, request: GenerationRequest, model: str) -> HttpCall:
        """What asks for the answer."""
        ...

    def amended(self, call: HttpCall, status: int, body: bytes) -> HttpCall | None:
        """What to send instead at once, where the answer shows that the server supports less, or None."""
        ...

    def parser(self) -> StreamParser:
        """A new parser, for one answer."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an answer means that is not a stream. Header names are in lower case; `body` may be cut short."""
        ...


@runtime_checkable
class ResumableProvider(HttpProvider, Protocol):
    """A provider whose answers can be taken up again from a `Position` that it gave.

    Positions come back from the store: each method raises PositionLost for one that this provider cannot have given.
    """

    def resume(self, position: str, request: GenerationRequest, model: str) -> HttpCall:
        """What asks for all that follows the position; request and model are those of the answer."""
        ...

    def resumed_parser(self, position: str) -> StreamParser:
        """A new parser, for what follows the position."""
        ...


@runtime_checkable
class KeepingProvider(ResumableProvider, Protocol):
    """A provider whose answers go on without us, and are stored. Any position of an answer tells which it is."""

    def cancel(self, position: str) -> HttpCall:
        """What stops the answer for good."""
        ...

    def stored(self, position: str) -> HttpCall:
        """What asks for the stored answer."""
        ...

    def stored_chunks(self, body: bytes) -> Iterator[Chunk] | None:
        """The whole answer in the body of a stored one; None while it goes on.

        The iterator raises ProviderFailure, after what the answer has, for one that has failed.
        """
        ...


@runtime_checkable
class PacedProvider(Provider, Protocol):
    """A provider that calls no server: it has its answers and their times itself."""

    def steps(self, request: GenerationRequest, model: str) -> Generator[tuple[float, list[Chunk]]]:
        """(seconds since the beginning, chunks due then), in order."""
        ...
