"""The seams of a provider: what one file per provider implements, and what its dialect is read with.

Providers are pure: they say what to send and what an answer means. `source.py` does the I/O, through the transport.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tokentail.fleet import ServedModel
from tokentail.request import GenerationRequest
from worker.chunk import Chunk, ProviderFailure


@dataclass(frozen=True)
class HttpCall:
    """What to POST. Headers hold the key and the body holds the prompt, so neither shows in a `repr`."""

    url: str = field(repr=False)  # may hold credentials, too
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class StreamParser(Protocol):
    """One answer's parser, from bytes to chunks; sans I/O, one per stream."""

    def feed(self, received: bytes) -> list[Chunk]:
        """The chunks that these bytes complete, perhaps none. Raises ProviderFailure for what the provider reports
        and for what cannot be read; nothing may be fed after that."""
        ...

    def finish(self) -> list[Chunk]:
        """What was held back, now that the body has ended; whether it ended well is for `source.py` to say."""
        ...


class Provider(Protocol):
    """Somebody who answers requests for models with a certain beginning of their names."""

    @property
    def name(self) -> str: ...

    @property
    def served(self) -> ServedModel: ...

    def upstream_model(self, model: str) -> str:
        """The provider's own name for a model of ours."""
        ...


@runtime_checkable
class HttpProvider(Provider, Protocol):
    """A provider behind HTTP."""

    def calls(self, request: GenerationRequest, model: str) -> Iterator[HttpCall]:
        """What to POST, and then what to POST instead, once each, while `is_refused_call` says so."""
        ...

    def is_refused_call(self, status: int, body: bytes) -> bool:
        """Whether this answer means that the next of `calls` may be understood better."""
        ...

    def parser(self) -> StreamParser: ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an answer means that is not a stream. Header names are in lower case; `body` may be cut short."""
        ...


@runtime_checkable
class PacedProvider(Provider, Protocol):
    """A provider that needs nobody: it knows what to say and when."""

    def steps(self, request: GenerationRequest, model: str) -> Iterable[tuple[float, list[Chunk]]]:
        """(seconds since the beginning, chunks due then), in order."""
        ...
