"""Connection faults: why a server could not be reached, in words that say what to check. Pure.

Libraries wrap the system's error several times. The first error in the chain that is known here explains the rest; its
own text is never quoted, because it may hold an address with credentials.
"""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

_MOST_ERRORS = 20  # of one chain
_TLS_ALERTS = ("\x15\x03", "\\x15\\x03")  # how a TLS server answers what is not TLS (RFC 8446, 5.1), raw or by `repr`
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
# OpenSSL's words for an answer that is not TLS; they differ between its versions.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
}


CLOSED = "it closed the connection before it answered"


class ConnectionFault(NamedTuple):
    """What happened, as the rest of a sentence; and whether another try may find it otherwise."""

    words: str
    is_retryable: bool = True


_PLAIN_HTTP = ConnectionFault("it speaks plain HTTP there; its address begins with http://", is_retryable=False)
_TLS = ConnectionFault("it speaks TLS there; its address begins with https://", is_retryable=False)
_NOT_HTTP = ConnectionFault("it does not speak HTTP there", is_retryable=False)
_PLAIN_KINDS: dict[type[BaseException], str] = {
    socket.gaierror: "its name was not found",
    ConnectionRefusedError: "the connection was refused, so nothing listens there",
    ConnectionError: CLOSED,  # http.client's RemoteDisconnected is one, too
}


def connection_fault(error: BaseException) -> ConnectionFault | None:
    """The fault behind an error of a library; None where nothing in its chain is known."""
    return next((fault for each in _chain(error) if (fault := _fault(each))), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it wraps: as an argument, as a reason, or as its cause."""
    found, seen = [error], set[int]()
    while found and len(seen) < _MOST_ERRORS:
        each = found.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        found.extend(one for one in inner if isinstance(one, BaseException))


def _fault(error: BaseException) -> ConnectionFault | None:
    match error:
        case ssl.SSLCertVerificationError():
            why = f": {error.verify_message}" if error.verify_message else ""
            return ConnectionFault(f"its certificate is not trusted{why.rstrip('.')}", is_retryable=False)
        case ssl.SSLError():
            return _PLAIN_HTTP if error.reason in _NOT_TLS else ConnectionFault("the TLS handshake failed")
        case http.client.BadStatusLine() if not isinstance(error, ConnectionError):
            return _TLS if str(error).strip("'\"").startswith(_TLS_ALERTS) else _NOT_HTTP
        case socket.gaierror() if error.errno == socket.EAI_AGAIN:
            return ConnectionFault("its name could not be looked up, because no name server answered")
        case OSError() if error.errno in _UNREACHABLE:
            return ConnectionFault("there is no route to it")
    return next((ConnectionFault(words) for kind, words in _PLAIN_KINDS.items() if isinstance(error, kind)), None)
