"""Parts: pieces of a response that are written without a coroutine's turn, where the connection takes them at once."""

from typing import Any

PARTS = "tokentail.parts"  # in the state of each request's scope: the protocol of its connection


class WritesParts:
    """Mixed in before uvicorn's HTTP protocol."""

    flow: Any
    transport: Any
    _under_way: Any

    @property
    def can_write_part(self) -> bool:
        """Whether the response under way is in chunks, and the client has taken nearly all that was sent before."""
        cycle = self._under_way
        is_open = cycle.response_started and not cycle.response_complete and not cycle.disconnected
        return is_open and cycle.chunked_encoding is True and not self.flow.write_paused

    def write_part(self, part: bytes) -> None:
        """Write a chunk (RFC 9112, 7.1). Of the response under way: those behind it have not begun."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(part), part))
