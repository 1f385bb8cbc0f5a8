"""The answer: one generation's elements as items, in order of appearance. Both interfaces make their bodies of it.

Pure. Elements are JSON as the log has them. What these interfaces have no word for (code that the provider ran, its own
tools) is left out; our own API has it.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tokentail.log.element import decode


@dataclass(eq=False)
class _Run:
    """Text that was sent in pieces."""

    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(eq=False)
class Text(_Run):
    """A run of visible text, with its sources."""

    citations: list[Mapping[str, Any]] = field(default_factory=list)
    start: int = 0  # characters of the answer's text before this run


@dataclass(eq=False)
class Reasoning(_Run):
    """A run of reasoning, and what the provider wants back with the next turn."""

    provider_state: Any = None


@dataclass(eq=False)
class Refusal(_Run):
    """A run of a refusal."""


@dataclass(eq=False)
class Call:
    """A tool call; a custom tool's `arguments` are its plain input."""

    index: int
    id: str
    name: str
    is_custom: bool = False
    pieces: list[str] = field(default_factory=list)
    provider_state: Any = None

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(eq=False)
class Picture:
    """An image in base64, or its address."""

    index: int
    media_type: str
    url: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def data(self) -> str:
        """Base64 of the whole: each piece is padded for itself."""
        pieces = list(filter(None, self.pieces))
        return pieces[0] if len(pieces) == 1 else b64encode(b"".join(map(b64decode, pieces))).decode()


Item = Text | Reasoning | Refusal | Call | Picture
Run = TypeVar("Run", Text, Reasoning, Refusal)


class Answer:
    """One generation as far as it has come."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self.items: list[Item] = []
        self.character_count = 0
        self.end: Mapping[str, Any] | None = None  # the job's end, once it was read
        self._add: Mapping[str, Callable[[Mapping[str, Any]], Item | None]] = {
            "reasoning": self._reasoning,
            "refusal": self._refusal,
            "tool_call": self._call,
            "custom_tool_call": self._call,
            "citation": self._citation,
            "media": self._picture,
        }

    def take(self, elements: Iterable[bytes]) -> None:
        """Add elements of the log, in order."""
        for element in elements:
            self.add(decode(element))

    def add(self, element: Any) -> Item | None:
        """Add one element; the item that it belongs to, None where it belongs to none."""
        if isinstance(element, str):
            return self._text(element)
        if element["type"] == "end":
            self.end = element
        add = self._add.get(element["type"])
        return add(element) if add else None

    def _text(self, piece: str) -> Text:
        is_new = not (self.items and isinstance(self.items[-1], Text))
        run = self._run(Text)
        if is_new:
            run.start = self.character_count
        run.pieces.append(piece)
        self.character_count += len(piece)
        return run

    def _reasoning(self, element: Mapping[str, Any]) -> Reasoning:
        state = element.get("provider_state")
        if not element["text"] and state is not None:
            found = next((i for i in reversed(self.items) if isinstance(i, Reasoning)), None) or self._run(Reasoning)
        else:
            found = self._run(Reasoning)
            found.pieces.append(element["text"])
        if state is not None:
            found.provider_state = state
        return found

    def _call(self, element: Mapping[str, Any]) -> Call:
        index = element["index"]
        call = next((i for i in reversed(self.items) if isinstance(i, Call) and i.index == index), None)
        if call is None:
            call_id = element.get("id") or f"call_{self._job_id}_{index}"
            call = Call(index, call_id, element.get("name") or "", element["type"] == "custom_tool_call")
            self.items.append(call)
        call.pieces.append(element.get("arguments") or element.get("input") or "")
        if element.get("provider_state") is not None:
            call.provider_state = element["provider_state"]
        return call

    def _refusal(self, element: Mapping[str, Any]) -> Refusal:
        run = self._run(Refusal)
        run.pieces.append(element["text"])
        return run

    def _citation(self, element: Mapping[str, Any]) -> Text:
        text = next((item for item in reversed(self.items) if isinstance(item, Text)), None) or self._run(Text)
        text.citations.append(element)
        return text

    def _picture(self, element: Mapping[str, Any]) -> Picture | None:
        if element["kind"] != "image":
            return None
        index = element["index"]
        found = next((i for i in self.items if isinstance(i, Picture) and i.index == index), None)
        if found is None:
            found = Picture(index, element["media_type"], element.get("url") or "")
            self.items.append(found)
        found.pieces.append(element.get("data") or "")
        return found

    def _run(self, kind: type[Run]) -> Run:
        """The last item, if it is of this kind; else a new one."""
        if self.items and isinstance(last := self.items[-1], kind):
            return last
        run = kind()
        self.items.append(run)
        return run


def counts_of(usage: Mapping[str, Any] | None) -> dict[str, int] | None:
    """All counts of a job's usage, 0 for those that it lacks; None where the provider counted no tokens."""
    names = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    counts = {name: (usage or {}).get(name) for name in names}
    if counts["input_tokens"] is None and counts["output_tokens"] is None:
        return None
    return {name: count or 0 for name, count in counts.items()}
