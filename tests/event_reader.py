"""Server-Sent Events as they come over a connection, one at a time."""

from http.client import IncompleteRead
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.integration.web_process import Site

_HEARTBEAT = b":\n"


class Event(msgspec.Struct, frozen=True):
    """One event; a heartbeat has neither id nor data."""

    id: str | None
    kind: str
    data: str | None

    @property
    def poll(self) -> dict[str, Any]:
        """The poll's body that it carries."""
        body: dict[str, Any] = msgspec.json.decode(self.data or "")
        return body


class EventReader:
    """A stream that was asked for. It waits `within_s` for each line, and no longer."""

    def __init__(self, site: Site, path: str, within_s: float = 20.0, **headers: str) -> None:
        self._client = site.connect(within_s)
        self._client.send_head(
            "GET",
            path,
            {"Accept": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}},
        )
        self._response = self._client.response()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()
        self._client.close()

    def next(self) -> Event | None:
        """The next event, heartbeats included; None when the stream is over, or was cut."""
        fields: dict[str, list[str]] = {}
        while (line := self._line()) not in {b"\n", b"", _HEARTBEAT}:
            name, _, value = line.decode().rstrip("\n").partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if not line:
            return None
        data = "\n".join(fields["data"]) if "data" in fields else None
        return Event(fields.get("id", [None])[-1], fields.get("event", ["message"])[-1], data)

    def next_with_data(self) -> Event | None:
        """The next event that a browser would show."""
        while (event := self.next()) is not None and event.data is None:
            pass
        return event

    def rest(self) -> list[Event]:
        """All events with data, to the end."""
        return list(iter(self.next_with_data, None))

    def _line(self) -> bytes:
        try:
            return self._response.readline()
        except (IncompleteRead, ConnectionResetError):
            return b""
