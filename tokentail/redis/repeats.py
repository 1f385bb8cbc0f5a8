"""Repeats: which job answers a request that its client sends again, because no answer to it has arrived.

OpenAI's SDKs repeat a lost POST by themselves, without an Idempotency-Key. A record leads from the question, a digest
of the owner, the path and the bytes of the body, to the newest job that was made of it, until that job's answer was
delivered. A second, short-lived record names a job whose client hung up before it received anything: some clients
repeat without any sign of it.
"""

import hashlib
import logging

from tokentail.errors import Unreadable
from tokentail.identifiers import job_id_in
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import repeat_key, unseen_key

log = logging.getLogger(__name__)

_KEPT_MS = 3600 * 1000  # a client that repeats does it within minutes of its longest time-out
_UNSEEN_MS = 8000  # the longest pause of an SDK before a repeat; less than a job without readers goes on


def question_of(owner: str, path: str, body: bytes) -> str:
    """The digest that stands for a POST in the records."""
    return hashlib.sha256(f"{owner}\n{path}\n".encode() + body).hexdigest()


class Repeats:
    """Keeps the records. Its methods raise StoreUnavailable and StoreFull. A record that cannot be read is removed."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def note(self, question: str, job_id: str) -> None:
        """The newest job of this question is this one."""
        with redis_errors():
            self._client.set(repeat_key(question), job_id, px=_KEPT_MS)

    def find(self, question: str) -> str | None:
        """The newest job of this question whose answer was not delivered."""
        return read_job(self._client, repeat_key(question))

    def forget(self, question: str, job_id: str) -> None:
        """This job's answer was delivered: the same bytes are a new question, unless a newer job stands for them."""
        if self.find(question) == job_id:
            with redis_errors():
                self._client.delete(repeat_key(question))

    def note_unseen(self, question: str, job_id: str) -> None:
        """The job's client has hung up before it received anything."""
        with redis_errors():
            self._client.set(unseen_key(question), job_id, px=_UNSEEN_MS)

    def take_unseen(self, question: str) -> str | None:
        """The job of this question whose client hung up a moment ago. It is returned once."""
        return read_job(self._client, unseen_key(question), is_taken=True)


def read_job(client: RedisClient, key: str, *, is_taken: bool = False) -> str | None:
    """The job that the record at a key names; the record is removed if it `is_taken`, or cannot be read."""
    try:
        with redis_errors(key):
            found = client.getdel(key) if is_taken else client.get(key)
    except Unreadable:
        log.warning("key.replaced", extra={"key": key})
        with redis_errors():
            client.delete(key)
        return None
    return job_id_in(found) if found else None
