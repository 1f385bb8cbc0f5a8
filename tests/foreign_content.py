"""Foreign content: what somebody else may write into Redis under a key of ours, as a value of each kind."""

import secrets
from collections.abc import Callable

from tokentail.redis.client import RedisClient

MARK = b"planted-by-a-stranger"  # in everything that is planted, so that a log which repeats it is found
_BIG = MARK * 500_000  # about 10 MB
_LATER = b'{"format":2,"counter":"' + MARK + b'"}'

VALUES = (b"\xff" + MARK, b"", MARK + b" with spaces", _BIG, _LATER)
TYPES = ("string", "list", "hash", "set", "zset", "stream")

# The keys of RQ's queue and books that every deployment has, with their types.
RQ_KEYS = {
    "rq:queue:tokentail": "list",
    "rq:queue:tokentail:intermediate": "list",
    "rq:queues": "set",
    "rq:workers": "set",
    "rq:workers:tokentail": "set",
    "rq:wip:tokentail": "zset",
    "rq:finished:tokentail": "zset",
    "rq:failed:tokentail": "zset",
}

_ADD: dict[str, Callable[[RedisClient, str, bytes], object]] = {
    "string": lambda client, key, value: client.set(key, value),
    "list": lambda client, key, value: client.lpush(key, value),
    "hash": lambda client, key, value: client.hset(key, value, value),
    "set": lambda client, key, value: client.sadd(key, value),
    "zset": lambda client, key, value: client.zadd(key, {value: "inf"}),
    "stream": lambda client, key, value: client.xadd(key, {MARK: value}),
}


def replace(client: RedisClient, key: str, kind: str, value: bytes) -> None:
    """Leave nothing of the key but `value`, in a key of this type."""
    pipe = client.pipeline()
    pipe.delete(key)
    _ADD[kind](pipe, key, value)
    pipe.execute()


def add(client: RedisClient, key: str, kind: str, value: bytes) -> None:
    """Put `value` into a key of this type, beside what is there."""
    if client.type(key).decode() in {kind, "none"}:
        _ADD[kind](client, key, value)


def fresh(value: bytes) -> bytes:
    """A value like it that nobody has planted before."""
    return value + secrets.token_hex(4).encode()
