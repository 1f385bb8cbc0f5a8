"""The seam at which errors of redis-py become this project's own. No file outside this room names an error of redis-py.

RQ's calls raise redis-py's errors, too. Code that must outlive all of them catches REDIS_FAULTS.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tokentail.errors import LaterFormat, StoreFull, StoreUnavailable, Unreadable
from tokentail.redis.keys import PREFIX

# Everything that a call to Redis raises, from "not there" to "full".
REDIS_FAULTS = (redis.exceptions.RedisError, OSError)
# What a connection that was lost, or never made, raises.
LOST_CONNECTIONS = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)

# What Redis answers in the place of a result: a command that it does not know, or that the user may not send.
REPLIED_ERRORS = (redis.exceptions.ResponseError,)

# Loading, failing over or not writable: redis-py makes classes of some of Redis's words, and takes the word away.
_OUTAGES = (
    *LOST_CONNECTIONS,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,  # MASTERDOWN, too
    redis.exceptions.TryAgainError,
    redis.exceptions.AskError,  # MOVED, too: the slot went on each time when a command was sent on
)
_IN_PIPELINE = " of pipeline caused error: "  # redis-py puts the command and this before what Redis said
NO_DATABASE = "DB index is out of range"  # so says Redis to each new connection whose URL names one
_LATER = "Nothing was lost; try again shortly."
_SCRIPT_RUNS = ("Redis refuses commands while a script runs", "Wait, or end the script with SCRIPT KILL")
_TOO_MANY_CLIENTS = (
    "Redis refuses connections, because it has as many as its maxclients allows",
    "Raise its maxclients, or end connections that nobody uses",
)
_NO_HOST = ("The name of the host of Redis was not found", "Correct the host in the URL of Redis")
_SLOT_MOVES = ("The Redis Cluster is moving these keys to another node", "Wait until they are there")
# What Redis refuses, and what to do, by the word with which its answer begins.
_REFUSALS = {
    "BUSY": _SCRIPT_RUNS,
    "DENIED": ("Redis refuses other machines (protected mode)", "Give Redis a password, and its URL the same"),
    "MISCONF": (
        "Redis refuses writes, because it cannot save them to its disk",
        "Look at its log, and at the space and the rights on its disk",
    ),
    "NOREPLICAS": (
        "Redis refuses writes, because too few of its replicas are connected",
        "Start replicas, or lower its min-replicas-to-write",
    ),
    "UNKILLABLE": _SCRIPT_RUNS,
    NO_DATABASE: ("Redis refuses the number of the database", "Correct it in the URL of Redis"),
}
# Words of which redis-py makes classes; the first class counts.
_REFUSALS_BY_CLASS: dict[type[Exception], tuple[str, str]] = {
    redis.exceptions.ReadOnlyError: (
        "Redis refuses writes, because it is a replica",
        "Wait until a replica is promoted, or correct the URL of Redis",
    ),
    redis.exceptions.MasterDownError: (
        "Redis refuses to answer, because it is a replica that has lost its primary",
        "Wait until a replica is promoted, or start the primary",
    ),
    redis.exceptions.ClusterDownError: (
        "The Redis Cluster refuses commands, because nodes are missing",
        "Start the missing nodes",
    ),
    redis.exceptions.TryAgainError: _SLOT_MOVES,
    redis.exceptions.AskError: _SLOT_MOVES,
    redis.exceptions.BusyLoadingError: ("Redis is loading its data", "Wait until it has read its file"),
    redis.exceptions.AuthenticationError: (
        "Redis refuses the user or the password",
        "Correct them in the URL of Redis",
    ),
}
_SCRIPT_WORDS = re.compile(rf"\b(UNREADABLE|LATERFORMAT) ({PREFIX}\S+)")  # of `lua/prelude.lua`


# Why no connection is there, and what to do where that is known, by the cause; the first class counts.
_PARTS: dict[type[BaseException], tuple[str, str]] = {
    ssl.SSLCertVerificationError: ("its certificate is not trusted", "Correct ssl_ca_certs in the URL of Redis"),
    ssl.SSLError: ("TLS failed", "See whether that port speaks TLS, and begin the URL with redis or rediss"),
    socket.gaierror: _NO_HOST,
    ConnectionRefusedError: ("the connection was refused", ""),
    FileNotFoundError: ("its socket is not there", ""),
    TimeoutError: ("no answer in time", ""),
    redis.exceptions.TimeoutError: ("no answer in time", ""),
    ConnectionResetError: ("the connection was lost", ""),
    BrokenPipeError: ("the connection was lost", ""),
}


class NoPrimary(redis.exceptions.ConnectionError):
    """The Sentinels name no server that takes writes, for the reason that is the text.

    `is_fault`: the URL or the Sentinels must be corrected. `remedy` is what to do otherwise.
    """

    def __init__(self, reason: str, *, is_fault: bool = False, remedy: str = "") -> None:
        super().__init__(reason)
        self.is_fault = is_fault
        self.remedy = remedy or (
            "Wait some seconds: the Sentinels promote a replica. If it lasts, start the servers that are away"
        )


@contextmanager
def redis_errors(key: str = "") -> Iterator[None]:
    """Raise StoreFull, StoreUnavailable or Unreadable in place of redis-py's errors. An Unreadable names `key`."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError:
        raise StoreFull(StoreFull.__doc__) from None
    except _OUTAGES as error:
        raise _unavailable(error) from None
    except redis.exceptions.ResponseError as error:
        said = words_of(error)
        word = said.split(" ", 1)[0]
        if refusal := _REFUSALS.get(NO_DATABASE if NO_DATABASE in said else word):
            raise _refused(*refusal, said) from None
        if found := _SCRIPT_WORDS.search(said):
            kind = LaterFormat if found[1] == "LATERFORMAT" else Unreadable
            raise kind(found[2]) from None
        if "WRONGTYPE" in said or word.startswith("user_script:"):
            raise Unreadable(key) from None  # the second is Lua's own error about a value that it did not expect
        raise


def _refused(what: str, remedy: str, said: str) -> StoreUnavailable:
    """The error for a Redis that answers, and refuses."""
    refused = StoreUnavailable(f"{what}. {remedy}. {_LATER} ({said})")
    refused.reason, refused.remedy = what, remedy
    return refused


def _unavailable(error: BaseException) -> StoreUnavailable:
    at = "".join(f" at {node}" for node in getattr(error, "__notes__", ()))  # of `note_node`
    for kind, refusal in _REFUSALS_BY_CLASS.items():
        if isinstance(error, kind):
            return _refused(*refusal, f"{type(error).__name__}{at}")
    if "max number of clients reached" in str(error):
        return _refused(*_TOO_MANY_CLIENTS, f"{type(error).__name__}{at}")
    reason, remedy = _part_at_fault(error)
    if (reason, remedy) == _NO_HOST:
        return _refused(reason, remedy, f"{type(error).__name__}{at}")
    away = StoreUnavailable(f"{StoreUnavailable.__doc__} ({reason}{at})")
    away.reason, away.remedy = reason, remedy
    return away


def _part_at_fault(error: BaseException) -> tuple[str, str]:
    """Why a connection was lost or not made, and what to do where that is known; redis-py hides the cause."""
    each: BaseException | None = error
    while each is not None:
        if isinstance(each, NoPrimary):
            return str(each), each.remedy
        if isinstance(each, socket.gaierror) and each.errno == socket.EAI_AGAIN:
            return "the name of its host could not be looked up, because no name server answered", ""
        for kind, words in _PARTS.items():
            if isinstance(each, kind):
                return words
        if isinstance(each, OSError) and each.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
            return "there is no route to it", ""
        if str(each).startswith("Connection closed"):  # so says redis-py
            return "the connection was lost", ""
        each = each.__cause__ or each.__context__
    return type(error).__name__, ""


def words_of(error: Exception) -> str:
    """What Redis itself said, without the command and its arguments, which redis-py adds to errors in a pipeline."""
    return str(error).rpartition(_IN_PIPELINE)[2]


def kind_of(error: Exception) -> str:
    """The kind of an error of redis-py's: the word with which Redis refused, such as NOREPLICAS, or the class."""
    word = words_of(error).split(" ", 1)[0]
    return word if isinstance(error, REPLIED_ERRORS) and word.isupper() else type(error).__name__


def is_script_missing(reply: Any) -> bool:
    """Whether Redis does not know the script of a call, which must then be sent whole."""
    return isinstance(reply, redis.exceptions.NoScriptError)
