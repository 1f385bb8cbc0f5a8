"""The signer: signs a browser's session and a read token for one job, and recognizes them later.

They are stored nowhere. All web processes of a deployment sign with the same secret. Every reader can decode a signed
token, so it names owners by aliases: without the secret no reader can test keys against it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from tokentail.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Signed:
    """What a session or a read token contains."""

    alias: str  # of the owner
    job_id: str | None  # the one job that a read token is for
    ends_at_s: float  # Unix seconds
    shares: int = 0  # of a read token: how often the job's links had been revoked when it was made
    user: str = ""  # of a session: the one user whose jobs it opens; "" for all of the owner


class TokenSigner:
    """Signs and recognizes. `clock` is in Unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float], secret_of_file: str = "") -> None:
        """`secret_of_file` is that of the keys file, for a deployment that sets neither a secret nor keys."""
        if settings.secret or settings.api_keys or not secret_of_file:
            self._secret = settings.secret.encode() or _secret_of_keys(settings.api_keys)
        else:
            self._secret = secret_of_file.encode()
        self._sessions = self._serializer("session")
        self._reading = self._serializer("read")
        self.clock = clock

    def alias(self, owner: str) -> str:
        """The owner's name in signed tokens. No owner has the alias of a key that was removed from the settings."""
        return hmac.digest(self._secret, b"alias\n" + owner.encode(), "sha256").hex()[:24]

    def session(self, owner: str, ttl_s: float, user: str = "") -> str:
        """A session, which stands for the owner's key for `ttl_s`, or for one of the owner's users."""
        whose = [self.alias(owner), user] if user else [self.alias(owner)]
        return str(self._sessions.dumps([*whose, int(self.clock() + ttl_s)]))

    def session_of(self, sealed: str) -> Signed | None:
        """The session; None when it is over, or when this server did not sign it."""
        if opened := self._opened(self._sessions, sealed, parts=3):
            return Signed(str(opened[0]), None, opened[2], user=str(opened[1]))
        opened = self._opened(self._sessions, sealed, parts=2)
        return Signed(str(opened[0]), None, opened[1]) if opened else None

    def users_session_of(self, sealed: str) -> Signed | None:
        """The session of one user, which may be sent in the place of a key; None for any other."""
        session = self.session_of(sealed)
        return session if session and session.user else None

    def read_token(self, owner: str, job_id: str, ttl_s: float, shares: int = 0) -> str:
        """A read token, with which every reader may read this one job for `ttl_s`, unless it is revoked."""
        return str(self._reading.dumps([self.alias(owner), job_id, shares, int(self.clock() + ttl_s)]))

    def read_token_of(self, sealed: str) -> Signed | None:
        """The read token; None when it is over, or when this server did not sign it."""
        if opened := self._opened(self._reading, sealed, parts=4):
            return Signed(str(opened[0]), str(opened[1]), opened[3], opened[2])
        opened = self._opened(self._reading, sealed, parts=3)  # made before links could be revoked
        return Signed(str(opened[0]), str(opened[1]), opened[2]) if opened else None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        signing = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        return URLSafeSerializer(self._secret, salt=f"tokentail.{purpose}", signer_kwargs=signing)

    def _opened(self, serializer: Any, sealed: str, parts: int) -> list[Any] | None:
        """The parts of a signed token, of which the last is its end; None when it is over or not signed here."""
        try:
            opened = serializer.loads(sealed)
        except BadData:
            return None
        is_ours = isinstance(opened, list) and len(opened) == parts
        return opened if is_ours and opened[-1] > self.clock() else None


@lru_cache(maxsize=4)
def _secret_of_keys(keys: tuple[str, ...]) -> bytes:
    """The secret of a deployment that sets none, made from its keys. Without keys nothing is signed.

    It is slow to compute on purpose, because a reader with a signed token can test guessed keys against it.
    """
    if not keys:
        return secrets.token_bytes(32)
    return hashlib.scrypt("\n".join(keys).encode(), salt=b"tokentail", n=1 << 14, r=8, p=1, dklen=32)
