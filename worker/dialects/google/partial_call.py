"""A function call that comes in pieces: its arguments as values at paths, long texts in several events. Pure."""

import re
from typing import Any

from worker.upstream.event_data import malformed_event

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,4})\]|\[(?:'([^']*)'|"([^"]*)")\]""", re.ASCII)
_VALUES = ("stringValue", "numberValue", "boolValue", "structValue", "listValue")


class PartialCall:
    """One call, until the event that says that no more of it will come."""

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.signature = ""
        self.arguments: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}  # the pieces of each text, by its path

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from another call."""
        return self.name, self.call_id

    def take(self, arguments: list[Any]) -> None:
        """Some of the arguments. Raises ProviderFailure (malformed) for a path that leads nowhere."""
        for each in arguments:
            if not isinstance(each, dict) or not isinstance(path := each.get("jsonPath"), str):
                raise malformed_event()
            value = next((each[name] for name in _VALUES if name in each), None)
            if isinstance(value, str):
                pieces = self._texts.setdefault(path, [])
                pieces.append(value)
                value = "" if len(pieces) > 1 else value
            if value != "" or len(self._texts.get(path, ())) <= 1:
                self._put(path, value)

    def whole(self) -> dict[str, Any]:
        """The arguments, now that no more will come."""
        for path, pieces in self._texts.items():
            if len(pieces) > 1:
                self._put(path, "".join(pieces))
        return self.arguments

    def _put(self, path: str, value: Any) -> None:
        steps = [
            found[1] or found[3] or found[4] or "" if found[2] is None else int(found[2])
            for found in _STEP.finditer(path)
        ]
        if not steps or "$" + "".join(found[0] for found in _STEP.finditer(path)) != path:
            raise malformed_event()
        place: Any = self.arguments
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if isinstance(step, int) and isinstance(place, list) and step <= len(place):
                place += [None] * (step == len(place))
            elif not isinstance(step, str) or not isinstance(place, dict):
                raise malformed_event()
            if following is None:
                place[step] = value
                return
            found: Any = place.get(step) if isinstance(place, dict) else place[step]
            if found is None:
                found = [] if isinstance(following, int) else {}
                place[step] = found
            place = found
