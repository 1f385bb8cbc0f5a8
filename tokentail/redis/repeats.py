"""Repeats: which job answers a request that its client sends again, because no answer to it has arrived.

OpenAI's SDKs repeat a lost POST by themselves, without an Idempotency-Key. A record leads from the question, a digest
of the owner, the path and the bytes of the body, to the newest job that was made of it, until that job's answer was
delivered. A second, short-lived record names a job whose client hung up before it received anything: some clients
repeat without any sign of it.
"""

import hashlib
import logging
from typing import Any

from tokentail.errors import Unreadable
from tokentail.identifiers import job_id_in
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import repeat_key, unseen_key
from tokentail.redis.round_trip import Outcome, RoundTrip

log = logging.getLogger(__name__)

_KEPT_MS = 3600 * 1000  # a client that repeats does it within minutes of its longest time-out
_UNSEEN_MS = 8000  # the longest pause of an SDK before a repeat; less than a job without readers goes on


def question_of(owner: str, path: str, body: bytes) -> str:
    """The digest that stands for a POST in the records."""
    return hashlib.sha256(f"{owner}\n{path}\n".encode() + body).hexdigest()


class Question:
    """One POST, as the records know it. It takes part in the round trips of its submission."""

    def __init__(self, client: RedisClient, digest: str, *, says_repeat: bool) -> None:
        """`says_repeat`: the client itself says that it sends the POST again."""
        self._client = client
        self.digest = digest
        self._says_repeat = says_repeat
        self._found: list[tuple[str, Outcome[bytes | None]]] = []  # the key of a record, and what is in it

    def look(self, trip: RoundTrip) -> None:
        """Have the trip read the records. That of a client that hung up is removed: the next equal POST is new."""
        key = unseen_key(self.digest)
        self._found = [(key, trip.add("GETDEL", key))]
        if self._says_repeat:
            key = repeat_key(self.digest)
            self._found.append((key, trip.add("GET", key)))

    def repeated(self) -> str | None:
        """The job that the POST asks for again, by what the trip has read; None for a new question."""
        named = [job_read(self._client, key, found) for key, found in self._found]
        return named[-1] if named else None

    def note(self, trip: RoundTrip, job_id: str) -> list[Outcome[Any]]:
        """Have the trip note that the newest job of this question is this one."""
        return [trip.add("SET", repeat_key(self.digest), job_id, "PX", _KEPT_MS)]


class Repeats:
    """Keeps the records. Its methods raise StoreUnavailable and StoreFull. A record that cannot be read is removed."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def question(self, owner: str, path: str, body: bytes, *, says_repeat: bool) -> Question:
        """The question that a POST asks."""
        return Question(self._client, question_of(owner, path, body), says_repeat=says_repeat)

    def forget(self, question: str, job_id: str) -> None:
        """This job's answer was delivered: the same bytes are a new question, unless a newer job stands for them."""
        if read_job(self._client, repeat_key(question)) == job_id:
            with redis_errors():
                self._client.delete(repeat_key(question))

    def note_unseen(self, question: str, job_id: str) -> None:
        """The job's client has hung up before it received anything."""
        with redis_errors():
            self._client.set(unseen_key(question), job_id, px=_UNSEEN_MS)


def read_job(client: RedisClient, key: str) -> str | None:
    """The job that the record at a key names. A record that cannot be read is removed."""
    trip = RoundTrip(client)
    found = trip.add("GET", key)
    trip.send()
    return job_read(client, key, found)


def job_read(client: RedisClient, key: str, found: Outcome[bytes | None]) -> str | None:
    """Like `read_job`, of a record that was read."""
    try:
        content = found.get()
    except Unreadable:
        log.warning("key.replaced", extra={"key": key})
        with redis_errors():
            client.delete(key)
        return None
    return job_id_in(content) if content else None
