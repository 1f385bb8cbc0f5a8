"""One answer of a provider over HTTP: its head, and its body as the bytes come.

The one rule: closing an answer closes its connection at once, for the server to see, unless its body was read whole.

Providers send each event in an HTTP chunk of its own, and the libraries read one chunk at a time, through four layers:
more than all the rest that a token costs. So what lies whole in the connection's buffer is taken out here; everything
else (the chunk that is cut, extensions, the last chunk and its trailers, errors) is left to http.client, whose books
are kept.

The one file that uses the insides of http.client (`fp`, `chunked`, `chunk_left`), of urllib3 (`_fp`, the socket of a
connection, the decoders of compressed bodies) and of gevent's sockets (`_wait`, `_read_event`);
tokentail/config/library_parts.py lists them. A body without these is read without the shortcut.
"""

import http.client
import io
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError
from urllib3.response import DeflateDecoder, GzipDecoder, GzipDecoderState, MultiDecoder

from tokentail.final_response import BUFFER_BYTES
from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure

_READ_BYTES = 65536
_LONGEST_SIZE = 8  # hexadecimal digits of a chunk's size
_LINE_END = b"\r\n"


class HttpAnswer:
    """One answer whose body is still coming."""

    def __init__(self, status: int, headers: Mapping[str, str], raw: Any) -> None:
        """`raw` is urllib3's response, of which the head was read."""
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        # Else the connection's end is the body's, and it looks like a cut (RFC 9112, 6.3).
        self.is_delimited = {"content-length", "transfer-encoding"} & self.headers.keys() != set()
        self._raw = raw
        self._socket = socket_of(raw)  # None once the pool has it back
        self._chunked = chunked_body(raw, self._socket)

    def read(self, timeout_s: float | None = None) -> bytes:
        """The bytes that are there, waiting for the first of them; empty at the end.

        A `timeout_s` holds for this read and the next ones. Raises ProviderFailure: timeout, truncated, malformed;
        after that, as after anything that is raised into a read from outside, there is only `close`.
        """
        if timeout_s is not None and self._socket is not None:
            self._socket.settimeout(timeout_s)
        try:
            if self._chunked is not None and (whole := self._chunked.read_whole_chunks()):
                return whole
            received: bytes = self._raw.read1(_READ_BYTES, decode_content=True)
        except (HTTPError, OSError) as error:
            self.close()
            raise _read_failure(error) from None
        if not received and _is_cut(getattr(self._raw, "_decoder", None)):
            self.close()
            message = "The provider's compressed answer breaks off in its middle."
            raise provider_failure(FailureKind.TRUNCATED, message, is_retryable=True)
        if self._raw.closed:
            # Read whole: urllib3 has put the connection back into the pool, where another job may have taken it.
            self._socket = None
        return received

    def close(self) -> None:
        """Close the connection now, without reading what is still to come; harmless after the body's end.

        The shutdown wakes another thread that is reading, for which closing alone would wait.
        """
        if self._socket is not None:
            with suppress(OSError):  # the server was first
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket = None
        self._raw.close()


class ChunkedBody:
    """The body of one answer, of which http.client has read the head."""

    def __init__(
        self,
        body: http.client.HTTPResponse,
        buffer: io.BufferedReader,
        receive: Callable[[int], bytes] | None = None,
    ) -> None:
        """`receive` waits until the socket has something, and takes at most so many bytes of it."""
        self._body: Any = body
        self._buffer = buffer
        self._receive = receive
        self._is_drained = False  # the last read took all that the socket and the buffer had
        self._size = BUFFER_BYTES

    def read_whole_chunks(self) -> bytes:
        """The content of the chunks that lie whole in the buffer, waiting for the first bytes if it is empty.

        Empty when the next chunk is none of these: http.client reads it then. Raises what its reading raises.
        """
        body = self._body
        if body.chunk_left or body.fp is None:
            return b""  # in the middle of a chunk, or at the end
        if self._is_drained and self._receive is not None:
            received = self._receive(self._size)
            content, taken = _whole_chunks(received, 0)
            if 0 < taken == len(received) < self._size:
                return content  # as nearly always; the layers between would cost as much as all else here
            self._put_before(received)
        buffered = self._buffer.peek(1)
        # http.client leaves the end of a chunk's last line.
        content, taken = _whole_chunks(buffered, 0 if body.chunk_left is None else len(_LINE_END))
        if taken:
            self._buffer.read(taken)
            body.chunk_left = None
        self._is_drained = 0 < taken == len(buffered) < self._size
        if len(buffered) >= self._size < io.DEFAULT_BUFFER_SIZE:
            # What fills a small buffer comes faster than a model writes.
            self._size = io.DEFAULT_BUFFER_SIZE
            self._put_before(self._buffer.read(len(buffered) - taken))
        return content

    def _put_before(self, received: bytes) -> None:
        """Have a buffer, which reads these bytes, that were received, before what the connection brings."""
        connection = self._buffer.detach()
        if not isinstance(connection, _Resumed):
            connection = _Resumed(connection)
        connection.received = received + connection.received
        self._buffer = self._body.fp = io.BufferedReader(connection, self._size)


def _whole_chunks(received: bytes, at: int) -> tuple[bytes, int]:
    """The content of the chunks that lie whole in these bytes, of which the first begins at `at`; where they end."""
    whole, taken = [], 0
    while (line_end := received.find(_LINE_END, at, at + _LONGEST_SIZE + len(_LINE_END))) > at:
        digits = received[at:line_end]
        if not digits.isalnum():
            break
        try:
            size = int(digits, 16)
        except ValueError:
            break  # http.client raises what is wrong with it
        start = line_end + len(_LINE_END)
        at = start + size + len(_LINE_END)
        if size == 0 or at > len(received):
            break
        whole.append(received[start : start + size])
        taken = at
    return b"".join(whole), taken


class _Resumed(io.RawIOBase):
    """A connection of which some bytes were received already. It closes the connection when nothing holds it."""

    def __init__(self, connection: io.RawIOBase) -> None:
        self.received = b""
        self.connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self.received:
            return self.connection.readinto(buffer)
        taken, self.received = self.received[: len(buffer)], self.received[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def close(self) -> None:
        super().close()
        self.connection.close()


def chunked_body(raw: Any, found: Any = None) -> ChunkedBody | None:
    """The body under urllib3's answer; None where it is not chunked, is compressed, or cannot be looked into.

    `found` is its socket.
    """
    body = getattr(raw, "_fp", None)
    if (
        isinstance(body, http.client.HTTPResponse)
        and getattr(body, "chunked", False) is True
        and hasattr(body, "chunk_left")
        and isinstance(body.fp, io.BufferedReader)
        and raw.headers.get("content-encoding", "identity") == "identity"
    ):
        return ChunkedBody(body, body.fp, _receiver_of(found))
    return None


def _receiver_of(found: Any) -> Callable[[int], bytes] | None:
    """What waits until gevent's socket has something, and receives it; None for any other socket.

    To ask a socket that has nothing costs as much as to receive a token.
    """
    wait, event = getattr(found, "_wait", None), getattr(found, "_read_event", None)
    if wait is None or event is None:
        return None
    pending = getattr(found, "pending", None)  # of TLS, which may hold more than was read

    def receive(at_most: int) -> bytes:
        if pending is None or not pending():
            wait(event)
        received: bytes = found.recv(at_most)
        return received

    return receive


def socket_of(raw: Any) -> socket.socket | None:
    """The socket under an answer. A connection that will not be used again has left it to the body's reader."""
    if raw.closed:
        return None
    found = getattr(raw.connection, "sock", None)
    if found is None:
        reader = getattr(getattr(raw, "_fp", None), "fp", None)
        found = getattr(getattr(reader, "raw", None), "_sock", None)
    return found


def _is_cut(decoder: Any) -> bool:
    """Whether what a decoder unpacks has not come to its end, though the body that holds it has."""
    if isinstance(decoder, MultiDecoder):
        return any(map(_is_cut, decoder._decoders))
    is_gzip = isinstance(decoder, GzipDecoder)
    if is_gzip and decoder._state == GzipDecoderState.SWALLOW_DATA:
        return False  # something else stands behind it, which urllib3 leaves out
    return (is_gzip or isinstance(decoder, DeflateDecoder)) and not decoder._obj.eof


def _read_failure(error: Exception) -> ProviderFailure:
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return provider_failure(FailureKind.TIMEOUT, "The provider fell silent in its answer.", is_retryable=True)
    if isinstance(error, DecodeError):
        message = "The provider's answer is compressed in a way that cannot be read."
        return provider_failure(FailureKind.MALFORMED, message, is_retryable=True)
    message = "The connection to the provider was lost in the middle of its answer."
    return provider_failure(FailureKind.TRUNCATED, message, is_retryable=True)
