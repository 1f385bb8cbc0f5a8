"""The seal: what this server has signed and can recognize later, a browser's session and a read token for one job.

Nothing of it is stored. Whoever knows the secret can seal; every web process of a deployment has the same one. What is
sealed can be read by anybody, so it names owners by aliases: nobody can try out keys on it without the secret.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from tokentail.settings import Settings


class Seal:
    """Signs and recognizes. `clock` is in Unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._secret = settings.secret.encode() or _secret_of_keys(settings.api_keys)
        self._sessions = self._serializer("session")
        self._reading = self._serializer("read")
        self._clock = clock

    def alias(self, owner: str) -> str:
        """What an owner is called in what is sealed. Sessions and tokens of a key that was taken away name nobody."""
        return hmac.digest(self._secret, b"alias\n" + owner.encode(), "sha256").hex()[:24]

    def session(self, owner: str, ttl_s: float) -> str:
        """Stands for an owner's key, for so long."""
        return str(self._sessions.dumps([self.alias(owner), int(self._clock() + ttl_s)]))

    def alias_of_session(self, sealed: str) -> str | None:
        """Whose session it is; None when it is over, or not of our making."""
        opened = self._opened(self._sessions, sealed, parts=2)
        return str(opened[0]) if opened else None

    def read_token(self, owner: str, job_id: str, ttl_s: float) -> str:
        """Lets whoever has it read one job, for so long."""
        return str(self._reading.dumps([self.alias(owner), job_id, int(self._clock() + ttl_s)]))

    def reader_of_token(self, sealed: str) -> tuple[str, str] | None:
        """The owner's alias and the job; None when it is over, or not of our making."""
        opened = self._opened(self._reading, sealed, parts=3)
        return (str(opened[0]), str(opened[1])) if opened else None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        signing = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        return URLSafeSerializer(self._secret, salt=f"tokentail.{purpose}", signer_kwargs=signing)

    def _opened(self, serializer: Any, sealed: str, parts: int) -> list[Any] | None:
        """What was sealed; its last part is when it ends."""
        try:
            opened = serializer.loads(sealed)
        except BadData:
            return None
        is_ours = isinstance(opened, list) and len(opened) == parts
        return opened if is_ours and opened[-1] > self._clock() else None


@lru_cache(maxsize=4)
def _secret_of_keys(keys: tuple[str, ...]) -> bytes:
    """A secret for deployments that have set none; other keys, other secret. Without keys nothing is ever sealed.

    It is slow to compute on purpose: whoever has something sealed can try out keys on it.
    """
    if not keys:
        return secrets.token_bytes(32)
    return hashlib.scrypt("\n".join(keys).encode(), salt=b"tokentail", n=1 << 14, r=8, p=1, dklen=32)
