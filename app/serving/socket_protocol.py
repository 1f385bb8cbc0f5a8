"""The socket protocol: uvicorn's own for WebSockets, with what it lacks.

Refused handshakes are problem documents; nothing that a client sends, or does not read, makes memory grow; a client
that has left is dropped with all that waits to be sent. When the process stops, each socket is closed by the code that
sends over it (`sockets.py`), because a last frame goes out first.
"""

import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame
from websockets.http11 import Response
from websockets.server import ServerProtocol

from app.http.response import problem
from app.serving.stalls import DropsStalled

PING_EVERY_S = 15.0  # below the idle time of usual proxies
PONG_WITHIN_S = 20.0
MOST_MESSAGE_BYTES = 4096  # every message of the protocol is shorter by far
_MOST_PIECES = 64  # frames of one message
_MOST_UNREAD = 16  # messages that came and were not yet looked at
_CLOSE_WITHIN_S = 5.0  # for the client to confirm the end
_STOP_WITHIN_S = 0.3  # the same, when the process goes


class _Handshake(ServerProtocol):
    """Refuses with problem documents."""

    def reject(self, status: Any, text: str) -> Response:
        answer = problem(int(status), text.strip())
        headers = Headers({**answer.headers, "Connection": "close", "Content-Length": str(len(answer.body))})
        return Response(int(status), status.phrase, headers, answer.body)


class SocketProtocol(DropsStalled, WebSocketsSansIOProtocol):
    """One connection, from its upgrade on."""

    def __init__(self, stall_s: float, **given_by_uvicorn: Any) -> None:
        super().__init__(**given_by_uvicorn)
        self.stall_s = stall_s
        # Compression would keep some 50 KB a socket, to save bytes of messages that are a few tokens each.
        self.conn = _Handshake(max_size=MOST_MESSAGE_BYTES, logger=logging.getLogger("uvicorn.error"))
        self.close_timeout = _CLOSE_WITHIN_S

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))  # it was refused before it was a request
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # there will be none; else uvicorn's log calls every refusal an error

    def shutdown(self) -> None:
        self.close_timeout = _STOP_WITHIN_S
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(_STOP_WITHIN_S, self.transport.close)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():  # a client that reads nothing gets no answer to its pings
            self.transport.write(pong)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MOST_PIECES:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "The message has too many pieces.")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.queue.qsize() >= _MOST_UNREAD:
            self._fail(CloseCode.POLICY_VIOLATION, "Too much was said at once.")
            return
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "Text is UTF-8.")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self.conn.close_sent is None:
            self.conn.fail(code, reason)
            self.handle_parser_exception()
