"""Logs of jobs, made of the recorded streams of all dialects: what a worker would have written."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokentail.jobs.job import Status
from tokentail.log.batch import Batch
from tokentail.log.element import TOKEN_BYTE

STREAMS = Path(__file__).parents[3] / "streams"
JOB = "0123456789abcdefghjkmnpqrs"
_NO_ELEMENTS = {"finish", "usage", "terminal", "position", "accepted", "sign_of_life", "failure"}


@dataclass(frozen=True)
class Log:
    """A job's log from its generation's start to its end."""

    name: str
    elements: tuple[bytes, ...]
    generation: str = "g1"
    base: int = 1  # element 0 is `submitted`

    def batch(self, start: int = 0, stop: int | None = None, *, is_reset: bool = False) -> Batch:
        """What a read of the elements from `start` to `stop` gives, counted from the generation's start."""
        stop = len(self.elements) if stop is None else stop
        elements = self.elements[start:stop]
        is_closed = b'"type":"end"' in self.elements[-1]
        return Batch(
            job_id=JOB,
            owner="",
            status=Status.COMPLETED if is_closed else Status.RUNNING,
            generation=self.generation,
            base=self.base,
            first=self.base + start,
            elements=elements,
            length=self.base + len(self.elements),
            is_reset=is_reset,
            token_count=sum(element[0] == TOKEN_BYTE for element in self.elements),
            pace=None,
            appended_at_ms=None,
            expires_at_ms=None,
            end_element=self.elements[-1] if is_closed else None,
        )


def log_of(name: str, content: Sequence[Any], **end: Any) -> Log:
    """A log with this content, strings and events; `end` has the fields of the end that matter."""
    start = {"type": "start", "generation": "g1", "provider": "p", "model": "m"}
    last = {"type": "end", "status": "completed", "finish_reason": "stop", "usage": None, "error": None, **end}
    return Log(name, tuple(json.dumps(e, separators=(",", ":")).encode() for e in (start, *content, last)))


def recorded_logs() -> list[Log]:
    """The log of every recorded stream."""
    return [_recorded(path) for path in sorted(STREAMS.rglob("*.json"))]


def _recorded(path: Path) -> Log:
    chunks = json.loads(path.read_text())
    named = {chunk["type"]: chunk for chunk in chunks if isinstance(chunk, dict)}
    end: dict[str, Any] = {"finish_reason": named.get("finish", {}).get("reason")}
    if failure := named.get("failure"):
        end = {"status": "failed", "error": {"type": failure["kind"], "message": "It failed."}}
    if usage := named.get("usage"):
        end["usage"] = {name: value for name, value in usage.items() if name != "type"}
    content = [c for c in chunks if c and (isinstance(c, str) or c["type"] not in _NO_ELEMENTS)]
    return log_of(f"{path.parent.name}/{path.stem}", content, **end)


def text_of(log: Log) -> str:
    """The visible text of a log."""
    return "".join(e for e in map(json.loads, log.elements) if isinstance(e, str))
