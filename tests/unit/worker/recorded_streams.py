"""Recorded streams, and a transport that plays them: no network, any split, any ending."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import GenerationRequest
from worker.chunk import (
    Accepted,
    Chunk,
    Finish,
    Position,
    ProviderFailure,
    SignOfLife,
    Terminal,
    UsageReport,
    provider_failure,
)
from worker.dialects.openai.chat import OpenAiChat
from worker.upstream.answer_stream import STIRRED
from worker.upstream.provider import HttpCall, HttpProvider
from worker.upstream.source import open_chunks

STREAMS = Path(__file__).parents[2] / "streams"
REQUEST = GenerationRequest(prompt="Tell me of the sea, at length.")
OPENAI = OpenAiChat("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours")
LOST = provider_failure(FailureKind.TRUNCATED, "The connection was lost.", is_retryable=True)


@dataclass
class PlayedAnswer:
    """Gives its pieces one by one, then the end of the body or `ending`."""

    pieces: Iterable[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ending: BaseException | None = None
    is_delimited: bool = True
    closes: int = 0
    waits: list[float | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = iter(self.pieces)

    def read(self, timeout_s: float | None = None) -> bytes:
        self.waits.append(timeout_s)
        piece = next(self._left, b"")
        if not piece and self.ending is not None:
            raise self.ending
        return piece

    def close(self) -> None:
        self.closes += 1


class PlayedTransport:
    """Answers calls in order, and keeps them."""

    def __init__(self, *answers: PlayedAnswer) -> None:
        self.calls: list[HttpCall] = []
        self._answers = iter(answers)

    def send(self, call: HttpCall) -> PlayedAnswer:
        self.calls.append(call)
        return next(self._answers)


def recorded(name: str, dialect: str = "openai_chat") -> tuple[bytes, list[Any]]:
    """The bytes of a stream, and what it must give."""
    path = STREAMS / dialect / name
    stream = path.with_suffix(".ndjson" if dialect == "ollama" else ".sse").read_bytes()
    return stream, json.loads(path.with_suffix(".json").read_text("utf-8"))


def every_split(stream: bytes) -> Iterator[list[bytes]]:
    """The stream whole, byte by byte, and in two at every place."""
    yield [stream]
    yield [stream[i : i + 1] for i in range(len(stream))]
    for i in range(1, len(stream)):
        yield [stream[:i], stream[i:]]


_BREAKERS = [b'"', b"{", b"null", b"\\ud83d", b"\n\n", b"[" * 2000, b"1e999"]


def mangled(draw: st.DataObject, stream: bytes) -> bytes:
    """The stream with bytes changed, cut out and put in."""
    bytes_ = bytearray(stream)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(bytes_)))
        cut = draw.draw(st.integers(0, 8))
        bytes_[at : at + cut] = draw.draw(st.binary(max_size=4) | st.sampled_from(_BREAKERS))
    return bytes(bytes_)


def json_of_fields(names: str) -> st.SearchStrategy[Any]:
    """Any JSON, with these words as the names of its fields."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(names.split()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names.split()), inner, max_size=4),
        max_leaves=12,
    )


def played(pieces: Iterable[bytes], ending: BaseException | None = None, provider: HttpProvider = OPENAI) -> list[Any]:
    """What a stream in these pieces gives, written as in the recordings: JSON, a failure last."""
    return list(_written(PlayedTransport(PlayedAnswer(filter(None, pieces), ending=ending)), provider))


def _written(transport: PlayedTransport, provider: HttpProvider) -> Iterator[Any]:
    try:
        with open_chunks(provider, REQUEST, f"{provider.name}/m", transport, sleep=lambda _: None) as lists:
            for chunks in lists:
                assert chunks, "a list is never empty"
                yield from (_json(chunk) for chunk in chunks if chunk is not STIRRED)
    except ProviderFailure as error:
        yield {"type": "failure", "kind": error.failure.kind.value, "is_retryable": error.failure.is_retryable}


def _json(chunk: Chunk) -> Any:
    match chunk:
        case str():
            return chunk
        case Finish(reason, word):
            return {"type": "finish", "reason": reason, "provider_reason": word}
        case UsageReport(usage):
            return {"type": "usage", **msgspec.to_builtins(usage)}
        case Terminal():
            return {"type": "terminal"}
        case Position(text):
            return {"type": "position", "text": text}
        case SignOfLife():
            return {"type": "sign_of_life"}
        case Accepted(request_id):
            return {"type": "accepted", "request_id": request_id}
        case _:
            return msgspec.to_builtins(chunk)


def failure_of(
    *answers: PlayedAnswer,
    request: GenerationRequest = REQUEST,
    provider: HttpProvider = OPENAI,
    sleep: Callable[[float], object] = lambda _: None,
) -> ProviderFailure:
    """The failure to which these answers lead."""
    with (
        pytest.raises(ProviderFailure) as raised,
        open_chunks(provider, request, f"{provider.name}/m", PlayedTransport(*answers), sleep) as lists,
    ):
        list(lists)
    assert all(answer.closes for answer in answers), "every answer is closed"
    return raised.value
