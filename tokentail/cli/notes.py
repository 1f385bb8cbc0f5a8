"""Notes: what an answer holds besides its text, in a line each, for a person who reads along on a terminal. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from tokentail.client.responses import Body

_MOST = 300  # characters of a line


class Notes:
    """The notes on one answer; `clear` it when the answer starts again."""

    def __init__(self) -> None:
        self._events: list[Body] = []

    def add(self, events: Iterable[str | Body]) -> None:
        """Take in an update's events."""
        self._events.extend(event for event in events if not isinstance(event, str))

    def clear(self) -> None:
        """Forget them all."""
        self._events.clear()

    def lines(self) -> list[str]:
        """A line for each source, medium, tool and skipped piece, in the order of the log, each once."""
        return list(dict.fromkeys(line[:_MOST] for event in self._events for line in _line(event)))


def _line(event: Body) -> Iterator[str]:
    match event.get("type"):
        case "citation":
            yield "source: " + " ".join(
                filter(None, (_text(event, "title"), _text(event, "url") or _text(event, "text")))
            )
        case "media":
            of_what = " ".join(filter(None, (_text(event, "kind"), _text(event, "media_type"), _text(event, "url"))))
            yield f"{of_what}, in the job's events"
        case "tool_call" | "custom_tool_call" | "provider_tool_call" if event.get("name"):
            by = "the provider" if event["type"] == "provider_tool_call" else "the model"
            yield f"{by} calls the tool {_text(event, 'name')}"
        case "tool_result":
            outcome = "error" if event.get("is_error") else "result"
            yield f"{outcome} of {_text(event, 'name')}: {_text(event, 'output')}"
        case "code":
            yield f"the provider runs code ({_text(event, 'language')})"
        case "skipped":
            yield f"not shown: {_text(event, 'provider_type')} ({event.get('bytes')} bytes)"


def _text(event: Body, name: str) -> str:
    value: Any = event.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""
