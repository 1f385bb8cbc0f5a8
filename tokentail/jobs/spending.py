"""Spending: what a job cost its owner, as it is counted at the job's end. Values only; nothing here does I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tokentail.jobs.job import Status, Usage
from tokentail.jobs.message import TextPart
from tokentail.jobs.request import GenerationRequest
from tokentail.log.counts import BYTES_A_TOKEN


@dataclass(frozen=True, slots=True)
class Spent:
    """What one job cost. Without a status there is nothing to count."""

    status: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_tokens: int = 0  # of both, those that no provider counted


NOTHING = Spent()


def spent_by(end: Mapping[str, Any] | None, input_estimate: int = 0, output_estimate: int = 0) -> Spent:
    """What a job cost by its end. The estimates stand for what its provider did not count."""
    if end is None:
        return NOTHING
    usage = end.get("usage") or {}
    came, counted = usage.get("input_tokens"), usage.get("output_tokens")
    said = usage.get("output_tokens_estimated") or output_estimate
    estimated = (input_estimate if came is None else 0) + (said if counted is None else 0)
    return Spent(
        str(end.get("status", "")),
        input_estimate if came is None else came,
        said if counted is None else counted,
        estimated,
    )


def spent_if_stopped(usage: Usage | None) -> Spent:
    """What a job costs that is stopped now, with this usage so far."""
    return spent_by({"status": Status.CANCELLED, "usage": msgspec.to_builtins(usage)})


def input_estimate(request: GenerationRequest) -> int:
    """About how many tokens the text of a request has. Images and files have no text."""
    size = 0
    for message in request.turns():
        content = message.content
        if isinstance(content, str):
            size += len(content.encode(errors="replace"))
        elif isinstance(content, list):
            size += sum(len(part.text.encode(errors="replace")) for part in content if isinstance(part, TextPart))
    return -(-size // BYTES_A_TOKEN)


def output_estimate(shown_bytes: int) -> int:
    """About how many tokens an answer of this size has."""
    return -(-shown_bytes // BYTES_A_TOKEN)
