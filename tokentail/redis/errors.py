"""The seam at which errors of redis-py become this project's own. No file outside this room names an error of redis-py.

RQ's calls raise redis-py's errors, too. Code that must outlive all of them catches REDIS_FAULTS.
"""

import re
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
_OUTAGE_WORDS = {"BUSY", "DENIED", "MISCONF", "NOREPLICAS", "UNKILLABLE"}
_IN_PIPELINE = " of pipeline caused error: "  # redis-py puts the command and this before what Redis said
NO_DATABASE = "DB index is out of range"  # so says Redis to each new connection whose URL names one
_SCRIPT_WORDS = re.compile(rf"\b(UNREADABLE|LATERFORMAT) ({PREFIX}\S+)")  # of `lua/prelude.lua`


class NoPrimary(redis.exceptions.ConnectionError):
    """The Sentinels name no server that takes writes, for the reason that is the text.

    `is_fault`: the URL or the Sentinels must be corrected.
    """

    def __init__(self, reason: str, *, is_fault: bool = False) -> None:
        super().__init__(reason)
        self.is_fault = is_fault


@contextmanager
def redis_errors(key: str = "") -> Iterator[None]:
    """Raise StoreFull, StoreUnavailable or Unreadable in place of redis-py's errors. An Unreadable names `key`."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError:
        raise StoreFull(StoreFull.__doc__) from None
    except _OUTAGES as error:
        reason = str(error) if isinstance(error, NoPrimary) else type(error).__name__
        at = "".join(f" at {node}" for node in getattr(error, "__notes__", ()))  # of `note_node`
        raise StoreUnavailable(f"{StoreUnavailable.__doc__} ({reason}{at})") from None
    except redis.exceptions.ResponseError as error:
        said = words_of(error)
        word = said.split(" ", 1)[0]
        if word in _OUTAGE_WORDS or NO_DATABASE in said:
            raise StoreUnavailable(f"{StoreUnavailable.__doc__} ({said})") from None
        if found := _SCRIPT_WORDS.search(said):
            kind = LaterFormat if found[1] == "LATERFORMAT" else Unreadable
            raise kind(found[2]) from None
        if "WRONGTYPE" in said or word.startswith("user_script:"):
            raise Unreadable(key) from None  # the second is Lua's own error about a value that it did not expect
        raise


def words_of(error: Exception) -> str:
    """What Redis itself said, without the command and its arguments, which redis-py adds to errors in a pipeline."""
    return str(error).rpartition(_IN_PIPELINE)[2]


def is_script_missing(reply: Any) -> bool:
    """Whether Redis does not know the script of a call, which must then be sent whole."""
    return isinstance(reply, redis.exceptions.NoScriptError)
