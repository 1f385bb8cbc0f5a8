"""Repeats: which job answers a request that its client sends again, because no answer to it has arrived.

OpenAI's SDKs repeat a lost POST by themselves, without an Idempotency-Key. A record leads from the owner, the path and
the bytes of a body to the newest job that was made of them, until that job's answer was delivered.
"""

from tokentail.identifiers import job_id_in
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors

_KEPT_MS = 3600 * 1000  # a client that repeats does it within minutes of its longest time-out


class Repeats:
    """Keeps the records. Its methods raise StoreUnavailable, StoreFull, and Unreadable for a key of another type."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def note(self, key: str, job_id: str) -> None:
        """The newest job of these bytes is this one."""
        with redis_errors(key):
            self._client.set(key, job_id, px=_KEPT_MS)

    def find(self, key: str) -> str | None:
        """The newest job of these bytes whose answer was not delivered."""
        with redis_errors(key):
            found = self._client.get(key)
        return job_id_in(found) if found else None

    def forget(self, key: str, job_id: str) -> None:
        """This job's answer was delivered: the same bytes are a new question, unless a newer job stands for them."""
        if self.find(key) == job_id:
            with redis_errors(key):
                self._client.delete(key)
