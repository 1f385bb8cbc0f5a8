"""Connection faults: the first known error in a library's chain says what happened."""

import errno
import socket

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError

from worker.upstream.connection_fault import connection_fault


def wrapped(cause: OSError) -> Exception:
    """The error as urllib3 raises it."""
    connection = HTTPConnection("no-such-host.example")
    kind = NameResolutionError if isinstance(cause, socket.gaierror) else NewConnectionError
    inner = (
        kind("no-such-host.example", connection, cause)  # type: ignore[arg-type]
        if kind is NameResolutionError
        else kind(connection, "failed")  # type: ignore[arg-type, call-arg]
    )
    inner.__cause__ = cause
    return MaxRetryError(connection, "/", inner)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name was not found"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "no name server answered"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "the connection was refused"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no route to it"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "closed the connection before it answered"),
    ],
)
def test_the_cause_in_the_chain_is_found(cause: OSError, words: str) -> None:
    """However often a library has wrapped it."""
    fault = connection_fault(wrapped(cause))
    assert fault is not None
    assert words in fault.words
    assert fault.is_retryable


def test_an_unknown_error_has_no_words() -> None:
    """An error that refers to itself ends the search, too."""
    error = ValueError("an address with credentials")
    error.__cause__ = error
    assert connection_fault(error) is None
