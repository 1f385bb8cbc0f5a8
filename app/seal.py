"""The seal: what this server has signed and can recognize later, a browser's session and a read token for one job.

Nothing of it is stored. Whoever knows the secret can seal; every web process of a deployment has the same one.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from tokentail.settings import Settings


class Seal:
    """Signs and recognizes. `clock` is in Unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        # Keys that change change the secret: sessions and tokens of a key that was taken away end with it.
        secret = settings.secret or hashlib.sha256("\n".join(("tokentail", *settings.api_keys)).encode()).hexdigest()
        self._sessions = URLSafeSerializer(secret, salt="session")
        self._reading = URLSafeSerializer(secret, salt="read")
        self._clock = clock

    def session(self, owner: str, ttl_s: float) -> str:
        """Stands for an owner's key, for so long."""
        return str(self._sessions.dumps([owner, int(self._clock() + ttl_s)]))

    def owner_of_session(self, sealed: str) -> str | None:
        """Whose session it is; None when it is over, or not of our making."""
        opened = self._opened(self._sessions, sealed, parts=2)
        return str(opened[0]) if opened else None

    def read_token(self, owner: str, job_id: str, ttl_s: float) -> str:
        """Lets whoever has it read one job, for so long."""
        return str(self._reading.dumps([owner, job_id, int(self._clock() + ttl_s)]))

    def reader_of_token(self, sealed: str) -> tuple[str, str] | None:
        """The owner and the job; None when it is over, or not of our making."""
        opened = self._opened(self._reading, sealed, parts=3)
        return (str(opened[0]), str(opened[1])) if opened else None

    def _opened(self, serializer: Any, sealed: str, parts: int) -> list[Any] | None:
        """What was sealed; its last part is when it ends."""
        try:
            opened = serializer.loads(sealed)
        except BadData:
            return None
        is_ours = isinstance(opened, list) and len(opened) == parts
        return opened if is_ours and opened[-1] > self._clock() else None
