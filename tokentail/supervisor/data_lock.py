"""The data directory's lock: one `up` at a time, for its whole life, and where the others find it."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Self

from tokentail.errors import TokentailError


class AlreadyRunning(TokentailError):
    """Another `tokentail up` has this data directory."""

    def __init__(self, data_dir: Path, holder: dict[str, Any]) -> None:
        where = f" at {holder['url']}" if "url" in holder else ""
        who = f" (process {holder['pid']})" if "pid" in holder else ""
        super().__init__(
            f"tokentail is already running on {data_dir}{where}{who}; stop it, or give this one a --data-dir and --port"
        )


class DataLock:
    """A lock that is held while this object is open. The kernel releases it when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __enter__(self) -> Self:
        """Make the directory and lock it. Raises AlreadyRunning, OSError."""
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (self._data_dir / "up.lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._file:
                self._file.seek(0)
                raise AlreadyRunning(self._data_dir, _read(self._file.read())) from None
        self._file.truncate(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tell(self, url: str) -> None:
        """Write this `up`'s address into the directory, for later ones."""
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "url": url}))
        self._file.flush()


def _read(text: str) -> dict[str, Any]:
    try:
        holder = json.loads(text)
    except ValueError:  # it has the lock, and has not told yet
        return {}
    return holder if isinstance(holder, dict) else {}
