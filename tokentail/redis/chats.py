"""Chats: which job is the newest of a chat of the AI SDK, until that job's answer was delivered.

The chat's id is its client's own. The record leads from a digest of the owner, the user and the id to the job, so that
nobody finds a job by the id of another owner's or user's chat.
"""

import hashlib
from typing import Any

from tokentail.redis.client import RedisClient
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import chat_key
from tokentail.redis.repeats import read_job
from tokentail.redis.round_trip import Outcome, RoundTrip

_OPEN_MS = 7 * 24 * 3600 * 1000  # longer than a job can be open


def chat_of(owner: str, user: str, chat_id: str) -> str:
    """The digest that stands for a chat in the records."""
    return hashlib.sha256(f"{owner}\n{user}\n{chat_id}".encode()).hexdigest()


class Chats:
    """Keeps the records. Its methods raise StoreUnavailable and StoreFull. A record that cannot be read is removed."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def note(self, trip: RoundTrip, chat: str, job_id: str, kept_ms: int) -> Outcome[Any]:
        """Have the trip note that the newest job of the chat is this one, kept for so long after its end."""
        return trip.add("SET", chat_key(chat), job_id, "PX", _OPEN_MS + kept_ms)

    def find(self, chat: str) -> str | None:
        """The newest job of the chat whose answer was not delivered."""
        return read_job(self._client, chat_key(chat))

    def forget(self, chat: str, job_id: str) -> None:
        """This job's answer was delivered. A newer job of the chat stays."""
        if self.find(chat) == job_id:
            with redis_errors():
                self._client.delete(chat_key(chat))
