"""Answers that are known before they are asked for, such as the demo's: their pace and their ending. Pure."""

from collections.abc import Generator, Iterable
from itertools import islice

from tokentail.jobs.job import FinishReason, Usage
from tokentail.jobs.request import GenerationRequest
from worker.chunk import Chunk, Finish, Terminal, UsageReport

_MOST_AT_ONCE = 64  # chunks in one step, where nothing paces them


def paced(chunks: Iterable[Chunk], per_s: float, first: int = 0) -> Generator[tuple[float, list[Chunk]], None, float]:
    """Chunk i is due at i / per_s seconds, whatever happened before; with per_s=0 everything is due at once.

    `first` is the number of the first chunk; the value returned is when the last one was due.
    """
    due_s = 0.0
    if per_s:
        for i, chunk in enumerate(chunks, first):
            due_s = i / per_s
            yield due_s, [chunk]
    else:
        rest = iter(chunks)
        while group := list(islice(rest, _MOST_AT_ONCE)):
            yield due_s, group
    return due_s


def ending(reason: FinishReason, request: GenerationRequest, sent: int) -> list[Chunk]:
    """The last chunks of a whole answer of `sent` tokens. The prompt's tokens are its words."""
    usage = Usage(input_tokens=len(prompt_of(request).split()), output_tokens=sent)
    return [Finish(reason, reason.value), UsageReport(usage), Terminal()]


def prompt_of(request: GenerationRequest) -> str:
    """The text of all turns."""
    return "\n".join(message.text for message in request.turns())
