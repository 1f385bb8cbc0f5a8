"""Garbage: what a foreign hand, a bug or another version may leave under a job's keys, with names for test ids."""

from collections.abc import Callable

from tokentail.redis.client import RedisClient
from tokentail.redis.keys import job_keys
from tokentail.redis.replies import FIELDS, NEEDED

Plant = Callable[[RedisClient, str], object]

LARGE = b"x" * (10 << 20)
_TEXTS = {"not UTF-8": b"\xff\xfe", "not a number": b"many", "empty": b"", "10 MB": LARGE, "a large number": b"9" * 18}
_ELEMENTS = {
    "not JSON": b"hello",
    "not UTF-8": b'"\xff"',
    "empty": b"",
    "a number": b"5",
    "a list": b"[1]",
    "half a token": b'"half',
    "two tokens": b'"a","b"',
    "a line end": b'{"type":\n"x"}',
    "an end without a status": b'{"type":"end"}',
    "an end of an unknown status": b'{"type":"end","status":"odd"}',
    "a start without a name": b'{"type":"start","generation":"A B"}',
    "10 MB": LARGE,
}
# Any text can be read here; what it says is another matter.
_FREE_TEXT = {"model", "attempt", "worker", "owner", "last_worker", "calls"}


def _field(name: str, value: bytes) -> Plant:
    return lambda client, job_id: client.hset(job_keys(job_id)[0], name, value)


def _no_field(name: str) -> Plant:
    return lambda client, job_id: client.hdel(job_keys(job_id)[0], name)


def _other_type(which: int) -> Plant:
    def plant(client: RedisClient, job_id: str) -> None:
        odd = f"{job_keys(job_id)[which]}:odd"  # in the job's cluster slot
        client.zadd(odd, {"odd": 1})
        client.rename(odd, job_keys(job_id)[which])  # in one step: nobody may find the key missing

    return plant


def _element(position: int, element: bytes) -> Plant:
    return lambda client, job_id: client.lset(job_keys(job_id)[1], position, element)


def _pushed(element: bytes) -> Plant:
    return lambda client, job_id: client.rpush(job_keys(job_id)[1], element)


def _record_garbage() -> dict[str, Plant]:
    plants: dict[str, Plant] = {"record: other type": _other_type(0), "record: format 0": _field("format", b"0")}
    for name in FIELDS:
        for text, value in _TEXTS.items():
            is_valid = text != "not UTF-8" and text != "10 MB" and name in _FREE_TEXT
            is_absent = not value and name in set(FIELDS) - {*NEEDED, "format"}
            is_name = name == "generation" and text == "not a number"
            if not (is_valid or is_absent or is_name):
                plants[f"{name}: {text}"] = _field(name, value)
    for name in ("status", "owner", "model", "generation", "attempts", "created_at", "tokens"):
        plants[f"{name}: missing"] = _no_field(name)
    return plants


RECORD: dict[str, Plant] = _record_garbage()
LOG: dict[str, Plant] = {
    "log: other type": _other_type(1),
    **{f"first element: {name}": _element(0, element) for name, element in _ELEMENTS.items()},
    **{f"middle element: {name}": _element(3, element) for name, element in _ELEMENTS.items()},
    **{f"pushed: {name}": _pushed(element) for name, element in _ELEMENTS.items()},
    "pushed: an end": _pushed(b'{"type":"end","status":"completed"}'),
}
MESSAGES: dict[str, bytes] = {
    "text": b"v2 hello",
    "empty": b"",
    "not UTF-8": b"\xff\xfe\n\xff",
    "no line end": b"7 1",
    "a negative index": b'-1 1\n"a"',
    "a large index": b'%d 1\n"a"' % 10**30,
    "a later format": b"3 2\nsomething else",
    "not JSON": b"5 1\nhello",
    "an unreadable end": b'5 1\n{"type":"end"}',
    "10 MB": LARGE,
    "10 MB in an element": b'5 1\n"' + LARGE + b'"',
    "a million lines": b"5 1\n" + b'"a"\n' * 1_000_000 + b'"a"',
}
