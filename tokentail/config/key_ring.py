"""The key ring: the API keys that count now, those of TOKENTAIL_API_KEYS and those of the keys file.

The file is read again when it has changed, at most once a second. While it cannot be read, the keys that were read last
go on to count, so that a slip of an editor locks nobody out.
"""

import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

from tokentail.config.key_file import read_key_file
from tokentail.config.settings import Settings
from tokentail.errors import SettingsError
from tokentail.jobs.api_key import ApiKey

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


def owner_name(key: str) -> str:
    """The owner's name of a bearer key of TOKENTAIL_API_KEYS; the key cannot be found from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class KeyRing:
    """One process's keys. Raises SettingsError when it is made and the file cannot be read."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = settings.keys_file
        self._clock = clock
        self._lock = threading.Lock()
        self._own = {hashlib.sha256(key.encode()).digest(): ApiKey(owner_name(key)) for key in settings.api_keys}
        self.is_keyed = settings.is_keyed
        self.number = 0  # it grows with each change of the keys
        self.secret = ""  # of the file as it was at first
        self._seen = self._mark()
        self._looked_at = clock()
        if self._path:
            file = read_key_file(self._path)
            self.secret = file.secret
            if not (self.secret or settings.secret or settings.api_keys):
                raise SettingsError([f"{self._path}: secret: is missing; write one, made with: openssl rand -hex 32"])
            self._take(file.by_digest())
        else:
            self._take({})

    def find(self, key: bytes) -> ApiKey | None:
        """The key of a request; None for a key that does not count."""
        self.look()
        digest = hashlib.sha256(key).digest()
        found = None
        for known, api_key in self._by_digest.items():
            # Every key is compared, each in constant time: how long it takes tells nothing about any of them.
            if hmac.compare_digest(known, digest):
                found = api_key
        return found

    def of_owner(self, owner: str) -> ApiKey:
        """What an owner's key may do; for an owner whose key was removed, and where there are no keys, the usual."""
        self.look()
        return self._by_owner.get(owner) or ApiKey(owner)

    def owners(self) -> list[str]:
        """The owners of all keys."""
        self.look()
        return list(self._by_owner)

    def look(self) -> None:
        """Read the file again if it has changed. It is looked at once a second at most."""
        if not self._path or self._clock() - self._looked_at < _LOOK_EVERY_S or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked_at = self._clock()
            mark = self._mark()
            if mark == self._seen:
                return
            self._seen = mark
            try:
                self._take(read_key_file(self._path).by_digest())
            except SettingsError as error:
                log.error("keys.not_read", extra={"file": self._path, "faults": "; ".join(error.faults)})
            else:
                log.info("keys.read", extra={"file": self._path, "keys": len(self._by_owner)})
        finally:
            self._lock.release()

    def _take(self, of_file: Mapping[bytes, ApiKey]) -> None:
        self._by_digest = {**self._own, **of_file}
        self._by_owner = {key.owner: key for key in self._by_digest.values()}
        self.number += 1

    def _mark(self) -> tuple[int, ...]:
        """What changes with the file: its place, its size and its time."""
        try:
            found = os.stat(self._path) if self._path else None
        except OSError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found else ()
