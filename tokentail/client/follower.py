"""The follower: a job's updates from a cursor to the end, each once and in order, over whatever transport gets through.

The rule it keeps: the cursor of the last update it gave is where every request goes on, whatever the transport, so
changing it loses nothing and doubles nothing.
"""

from collections.abc import Generator
from contextlib import closing

import requests

from tokentail.client.answers import ApiError, ServerUnreachable, Update, foreign_answer, parse_object, parse_update
from tokentail.client.connection import READ_TIMEOUT_S, Connection, Passing, Patience, jitter_s, object_of
from tokentail.client.route import Route
from tokentail.sse import EventTooLarge, SseDecoder

Updates = Generator[Update, None, None]

_EVENT_STREAM = "text/event-stream"


class Follower:
    """Follows the job at `path`. With `with_events` updates have events, too; `linger_ms` is for gathering tokens."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        cursor: str,
        route: Route,
        *,
        patience_s: float,
        with_events: bool,
        linger_ms: int,
    ) -> None:
        self._connection = connection
        self._path = path
        self._cursor = cursor
        self._route = route
        self._patience_s = patience_s
        self._patience = Patience(patience_s)  # with streams
        self._with_events = with_events
        self._linger = {"linger_ms": str(linger_ms)} if linger_ms else {}

    def updates(self) -> Updates:
        """Raises ApiError, ServerUnreachable."""
        while True:
            is_streamed = self._route.transport(self._connection.now()) == "sse"
            with closing(self._by_stream() if is_streamed else self._by_poll()) as updates:
                for update in updates:
                    self._cursor = update.cursor
                    yield update
                    if update.is_done:
                        return

    def _by_stream(self) -> Updates:
        """What one stream tells, and what to conclude from how it ended."""
        stream = _EventStream(self._connection, self._route.silence_s)
        has_told = False
        events = {"events": "1"} if self._with_events else {}
        query = {"cursor": self._cursor, **self._linger, **events}
        failure = Passing(ServerUnreachable(f"{self._connection.url} ends streams before their jobs"))
        try:
            with closing(stream.updates(f"{self._path}/stream", query)) as updates:
                for update in updates:
                    has_told = True
                    yield update
        except Passing as caught:
            failure = caught
        except ApiError:
            if not self._route.is_auto:
                raise
            # Whether it is the job or the stream that is refused, a poll will tell.
            self._route.leave_streams(self._connection.now())
            return
        self._conclude(failure, has_spoken=stream.has_spoken, has_told=has_told)

    def _conclude(self, failure: Passing, *, has_spoken: bool, has_told: bool) -> None:
        now = self._connection.now()
        if has_spoken:
            self._patience.renew()
        if failure.is_silence:
            self._route.stream_was_silent(now, has_spoken=has_spoken)
            if has_spoken or self._route.is_auto:
                return
        else:
            self._route.stream_was_cut(now, has_told=has_told)
        if has_told:
            pause_s = jitter_s(0.1, 0.5)
        elif has_spoken:
            pause_s = jitter_s(0.5, 1.0)  # a server with too many readers, or one that is going
        else:
            pause_s = self._patience.pause_s(failure, now)
        self._connection.pause(pause_s)

    def _by_poll(self) -> Updates:
        """What one poll tells, and the pause that the server asks for after it."""
        waited_s = 0.0

        def send() -> requests.Response:
            nonlocal waited_s
            waited_s = self._route.wait_s(self._connection.now())
            wait = {"wait": f"{waited_s:g}"} if waited_s else {}
            query = {"cursor": self._cursor, **wait, **self._linger}
            return self._connection.send("GET", path, params=query, read_timeout_s=waited_s + READ_TIMEOUT_S)

        def was_lost(after_s: float) -> None:
            self._route.poll_was_lost(self._connection.now(), after_s)

        path = f"{self._path}/{'events' if self._with_events else 'tokens'}"
        body = object_of(self._connection.patiently(send, self._patience_s, was_lost))
        self._route.poll_answered()
        self._patience.renew()
        update = parse_update(body, "long" if waited_s else "short")
        yield update
        self._connection.pause(update.poll_after_ms / 1000)  # 0 after news of a long poll


class _EventStream:
    """One stream. `has_spoken` is whether anything came over it, a heartbeat or the beginning of an event included."""

    def __init__(self, connection: Connection, silence_s: float) -> None:
        self._connection = connection
        self._silence_s = silence_s
        self.has_spoken = False

    def updates(self, path: str, query: dict[str, str]) -> Updates:
        """Raises Passing when it breaks or falls silent, ApiError when it is refused or none of ours."""
        # A compressed stream would be a buffered one.
        headers = {"Accept": _EVENT_STREAM, "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        response = self._connection.send(
            "GET", path, params=query, headers=headers, stream=True, read_timeout_s=self._silence_s
        )
        with closing(response):
            if not response.headers.get("Content-Type", "").lower().startswith(_EVENT_STREAM):
                raise foreign_answer(response.status_code)
            decoder = SseDecoder()
            for part in self._connection.received(response):
                self.has_spoken = True
                try:
                    events = decoder.feed(part)
                except EventTooLarge:
                    raise foreign_answer(response.status_code) from None
                for event in events:
                    if event.type == "message":
                        yield parse_update(parse_object(response.status_code, event.data.encode()), "sse")
