"""Repetition: whether a new generation says again what a client was shown, letter by letter, and where it gets past it.

A model at temperature 0, or with a seed, often does after a crash; then the crash need not show. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tokentail.log.element import decode, is_token

_TEXTS = {"reasoning": "text", "refusal": "text", "tool_call": "arguments", "custom_tool_call": "input"}


class Differs(Exception):
    """The new generation says something else."""


class Repetition:
    """Compares the elements of a new generation with the elements that were shown of a lost one."""

    def __init__(self, shown: Sequence[bytes]) -> None:
        self._shown = [run for element in shown for run in _runs(element)]
        self._at = 0  # in `_shown`
        self._offset = 0  # in the text of that run

    @property
    def is_over(self) -> bool:
        """Whether all that was shown has been repeated."""
        return self._at == len(self._shown)

    def past(self, element: bytes) -> Iterator[bytes]:
        """What of this element was not shown before, perhaps nothing. Raises Differs."""
        if is_token(element):
            if text := self._rest("text", decode(element)):
                yield msgspec.json.encode(text)
            return
        event = decode(element)
        name = _TEXTS.get(event["type"])
        if name is None:
            yield element  # nothing of it was shown
            return
        is_new_call = any(self._rest(*run) for run in _head(event))
        text = self._rest(_channel(event), event.get(name) or "")
        if is_new_call:
            yield element
        elif text or event.get("provider_state") is not None:
            news = {key: value for key, value in event.items() if key not in {"id", "name"}}
            yield msgspec.json.encode({**news, name: text})

    def finish(self) -> None:
        """The new generation has ended. Raises Differs where it is shorter than what was shown."""
        if not self.is_over:
            raise Differs

    def _rest(self, channel: str, text: str) -> str:
        """What of the text goes beyond what was shown. Raises Differs."""
        while text and not self.is_over:
            shown_channel, shown = self._shown[self._at]
            size = min(len(text), len(shown) - self._offset)
            if channel != shown_channel or text[:size] != shown[self._offset : self._offset + size]:
                raise Differs
            text = text[size:]
            self._offset += size
            if self._offset == len(shown):
                self._at, self._offset = self._at + 1, 0
        return text


def _runs(element: bytes) -> Iterator[tuple[str, str]]:
    """(channel, text) of what a client can see of an element; no text is empty."""
    if is_token(element):
        runs = [("text", decode(element))]
    else:
        event = decode(element)
        name = _TEXTS.get(event["type"])
        runs = [*_head(event), (_channel(event), event.get(name) or "")] if name else []
    return (run for run in runs if run[1])


def _head(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What begins a tool call. Its id may be another one each time: the client keeps the first."""
    return [(f"name {event['index']}", event["name"])] if event.get("name") else []


def _channel(event: Mapping[str, Any]) -> str:
    return f"{event['type']} {event.get('index', '')}"
