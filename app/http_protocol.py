"""The HTTP protocol: uvicorn's own, with a limit on heads, and problem documents where it would send plain text."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.answer import Answer, problem
from app.read_plane.exchange import HANGUP, IS_GONE

_MOST_HEAD_BYTES = 64 * 1024  # uvicorn's httptools protocol has no limit of its own


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_head = False

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:  # all of it was head; what a head begins with may follow another's body
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(problem(431, "The request's head is too large."))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.scope is not None:
            state = self.scope["state"]
            state[IS_GONE] = True
            if leave := state.get(HANGUP):
                leave()

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(problem(400, msg))

    def _refuse(self, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} Refused", f"Content-Length: {len(answer.body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        self.transport.write("\r\n".join((*lines, "", "")).encode("latin-1") + answer.body)
        self.transport.close()
