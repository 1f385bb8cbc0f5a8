"""The follower: a job's updates from a cursor to the end, each once and in order, by the transport that works.

The rule it keeps: every request starts at the cursor of the last update that was delivered. So the transport can change
at any time, and each token is still delivered exactly once.
"""

from collections.abc import Generator
from contextlib import closing
from secrets import token_hex

from tokentail.client.connection import Connection, Patience, TransportError, jitter_s, object_of
from tokentail.client.responses import ApiError, ForeignResponse, ServerUnreachable, Update, parse_object, parse_update
from tokentail.client.transport_health import TransportHealth
from tokentail.sse import EventTooLarge, SseDecoder

Updates = Generator[Update, None, None]

_EVENT_STREAM = "text/event-stream"
_LATE_S = 5.0  # how much later than its wait a poll may be answered


class Follower:
    """Follows the job at `path`. `with_events` adds events to updates; `linger_ms` lets the server collect tokens."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        cursor: str,
        health: TransportHealth,
        *,
        patience_s: float,
        with_events: bool,
        linger_ms: int,
    ) -> None:
        self._connection = connection
        self._path = path
        self._cursor = cursor
        self._health = health
        self._patience_s = patience_s
        self._patience = Patience(patience_s)  # of streams
        self._with_events = with_events
        self._linger = {"linger_ms": str(linger_ms)} if linger_ms else {}

    def updates(self) -> Updates:
        """The job's updates to its end. Raises ApiError, ServerUnreachable."""
        while True:
            is_streamed = self._health.transport(self._connection.now()) == "sse"
            with closing(self._by_stream() if is_streamed else self._by_poll()) as updates:
                for update in updates:
                    self._cursor = update.cursor
                    yield update
                    if update.is_done:
                        return

    def _by_stream(self) -> Updates:
        """The updates of one stream; its end is reported to the transport health."""
        stream = _EventStream(self._connection, self._health.silence_s)
        has_updates = False
        events = {"events": "1"} if self._with_events else {}
        query = {"cursor": self._cursor, **self._linger, **events}
        failure = TransportError(ServerUnreachable(f"{self._connection.url} ends streams before their jobs"))
        try:
            with closing(stream.updates(f"{self._path}/stream", query)) as updates:
                for update in updates:
                    has_updates = True
                    yield update
        except TransportError as caught:
            failure = caught
        except ApiError as error:
            if not self._health.is_auto and not isinstance(error, ForeignResponse):
                raise
            if self._health.is_auto:
                # A poll shows whether the server refuses the job or a proxy refuses the stream.
                self._health.leave_streams(self._connection.now())
                return
            failure = TransportError(error)
        self._conclude(failure, has_received=stream.has_received, has_updates=has_updates)

    def _conclude(self, failure: TransportError, *, has_received: bool, has_updates: bool) -> None:
        now = self._connection.now()
        if has_received:
            self._patience.renew()
        if failure.is_silence:
            self._health.stream_was_silent(now, has_received=has_received)
            if has_received or self._health.is_auto:
                return
        else:
            self._health.stream_was_cut(now, has_updates=has_updates)
        if has_updates:
            pause_s = jitter_s(0.1, 0.5)
        elif has_received:
            pause_s = jitter_s(0.5, 1.0)  # the server has too many readers, or stops
        else:
            pause_s = self._patience.pause_s(failure, now)
        self._connection.pause(pause_s)

    def _by_poll(self) -> Updates:
        """The update of one poll, and then the pause that the server advises."""
        waited_s = 0.0

        def send() -> Update:
            nonlocal waited_s
            waited_s = self._health.wait_s(self._connection.now())
            # A proxy that queues equal requests would have one wait for the other.
            wait = {"wait": f"{waited_s:g}", "rnd": token_hex(4)} if waited_s else {}
            query = {"cursor": self._cursor, **wait, **self._linger}
            try:
                response = self._connection.request("GET", path, params=query, read_timeout_s=waited_s + _LATE_S)
                return parse_update(object_of(response), "long" if waited_s else "short")
            except ForeignResponse as error:
                raise TransportError(error) from None  # what stands in the way may go away again

        def was_lost(after_s: float) -> None:
            self._health.poll_was_lost(self._connection.now(), after_s)

        path = f"{self._path}/{'events' if self._with_events else 'tokens'}"
        update = self._connection.retry(send, self._patience_s, was_lost)
        self._health.poll_answered()
        self._patience.renew()
        yield update
        self._connection.pause(update.poll_after_ms / 1000)  # 0 after news of a long poll


class _EventStream:
    """One stream. `has_received` is whether anything arrived, a heartbeat or a part of an event included."""

    def __init__(self, connection: Connection, silence_s: float) -> None:
        self._connection = connection
        self._silence_s = silence_s
        self.has_received = False

    def updates(self, path: str, query: dict[str, str]) -> Updates:
        """The stream's updates. Raises TransportError if it breaks or is silent, ApiError if it is refused."""
        # Proxies that compress a stream buffer it.
        headers = {"Accept": _EVENT_STREAM, "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        response = self._connection.request(
            "GET", path, params=query, headers=headers, stream=True, read_timeout_s=self._silence_s
        )
        with closing(response):
            if not response.headers.get("Content-Type", "").lower().startswith(_EVENT_STREAM):
                raise ForeignResponse(response.status_code)
            decoder = SseDecoder()
            for part in self._connection.received(response):
                self.has_received = True
                try:
                    events = decoder.feed(part)
                except EventTooLarge:
                    raise ForeignResponse(response.status_code) from None
                for event in events:
                    if event.type == "message":
                        yield parse_update(parse_object(response.status_code, event.data.encode()), "sse")
