"""Mending: content of a key of ours that this project cannot have written is removed and logged.

Only for keys whose content can be lost: indexes, which the sweep rebuilds, leases, the queue and RQ's books. A log line
names the key and never what was in it. The caller turns redis-py's errors into ours.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import redis

from tokentail.errors import Unreadable
from tokentail.redis.script import Script

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_MOST_MENDS = 3  # for one call: another process may spoil the key again, or another key
_mend = Script("mend")
_REMOVE = {"hash": ("HDEL",), "set": ("SREM",), "zset": ("ZREM",), "list": ("LREM", 0)}


def mended(client: Any, types: Mapping[str, str], call: Callable[[], Value], note: str = "") -> Value:
    """What `call` returns. Where it meets a wrong type, `types` (key → type) are mended, and it is repeated.

    `note` is a key to set before anything is dropped, so that the loss is known even if this process ends.
    """
    for _ in range(_MOST_MENDS):
        try:
            return call()
        except (Unreadable, redis.exceptions.ResponseError) as error:
            if not is_wrong_type(error):
                raise
        if note:
            client.set(note, secrets.token_hex(4))  # another mark each time
        mend(client, types)
    return call()


def is_wrong_type(error: Exception) -> bool:
    """Whether Redis refused a command because the key holds another type of value."""
    return isinstance(error, Unreadable) or "WRONGTYPE" in str(error)


def mend(client: Any, types: Mapping[str, str]) -> None:
    """Drop each key of `types` (key → type) that holds another type."""
    for key, kind in types.items():  # each for itself: they may be on several nodes
        for found in client.eval(_mend.source, 1, key, kind)[1:]:
            log.warning("key.dropped", extra={"key": key, "found": found.decode()})


def expel(client: Any, key: str, kind: str, members: Iterable[bytes]) -> None:
    """Remove members that cannot be ours from a key of type `kind`. The process that removes them logs it."""
    command, *count = _REMOVE[kind]
    pipe = client.pipeline(transaction=False)
    for member in set(members):
        pipe.execute_command(command, key, *count, member)
    if removed := sum(pipe.execute()):
        log.warning("key.cleaned", extra={"key": key, "members": removed})
