"""The WSGI entry: Flask's binding for any WSGI server, and what a web process does beside answering.

`gunicorn --worker-class gthread --threads 64 "app.wsgi:application()"`

Each process opens everything at its first request: connections, the hub, and the loop that watches the workers and
takes its turn at the sweep. So a server may load this, and then fork or have gevent replace threads: no thread is
running yet, and no connection is open.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tokentail.config.library_checks import require
from tokentail.config.library_parts import WSGI

require(WSGI)  # before the imports that would fail

from app.reading.hub_thread import HubThread
from app.serving.background_loop import BackgroundLoop
from app.serving.flask_app import create_app
from app.serving.stop_signals import heed_stop_signals
from app.wiring import wire_calls
from tokentail.config.key_ring import KeyRing
from tokentail.config.settings import Settings, load_settings
from tokentail.config.store_use import uses_of
from tokentail.errors import SettingsError
from tokentail.redis.backend import open_backend
from tokentail.redis.client import AsyncRedisClient, connect_async
from tokentail.redis.preflight import require_store
from tokentail.telemetry.log_lines import configure_logging
from tokentail.telemetry.tracing import open_tracing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_TRY_S = 0.6  # each try, and the reconnection before the second: a request waits for Redis at most two seconds
_STOP_S = 2.0


def application() -> "Application":
    """The WSGI application with the settings of the environment. Raises SettingsError. Call it once a process."""
    _refuse_eventlet()
    settings = load_settings(os.environ)
    settings.require_redis()
    KeyRing(settings)  # a keys file that cannot be read is reported now, not with the first request
    configure_logging(settings.log_level, "web")
    require_store(uses_of(settings), _TRY_S)  # its connections are closed before the server forks
    opened = Application(settings)
    atexit.register(opened.close)
    if threading.current_thread() is threading.main_thread():
        heed_stop_signals(opened.end_waits, opened.later)
    return opened


class Application:
    """The calls, Flask in front of them, and what runs beside them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = threading.Lock()
        self._pid = 0  # of the process in which everything is open
        self._loaded_in = os.getpid()
        self._is_ending = False

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self._pid != os.getpid():
            self._open()
        return self._flask(environ, start_response)

    def end_waits(self) -> None:
        """Have all waiting readers answered soon; from then on no reader waits. A signal handler may call this."""
        self._is_ending = True
        if self._pid == os.getpid():
            self._health.is_stopping = True
            self._hub.close()

    def later(self, delay_s: float, function: Callable[[], object]) -> None:
        """Call this after so long; at once where no reader can wait. A signal handler may call this."""
        if self._pid == os.getpid():
            self._hub.later(delay_s, function)
        else:
            function()

    def close(self) -> None:
        """Stop what runs beside the answers."""
        if self._pid == os.getpid():
            self._hub.stop(_STOP_S)
            self._background_loop.stop(_STOP_S)
            self._tracing.stop()

    def _open(self) -> None:
        """Open everything for this process, unless another request has."""
        with self._opening:  # nothing in here lets another greenlet run: a lock from before gevent would stop them all
            if self._pid == os.getpid():
                return
            backend = open_backend(self._settings, timeout_s=_TRY_S)
            self._tracing = open_tracing(os.environ, "tokentail-web")
            calls = wire_calls(self._settings, backend, tracing=self._tracing)
            self._health = calls.health
            self._hub = HubThread(self._settings, self._connect, calls.open_tails)
            self._flask: WSGIApplication = create_app(calls, self._hub)
            self._background_loop = BackgroundLoop(backend, calls.positions, calls.readers, self._settings.model)
            self._pid = os.getpid()
        self._background_loop.start()
        if self._pid != self._loaded_in:  # the server has set handlers of its own since the fork
            heed_stop_signals(self.end_waits, self.later)
        if self._is_ending:
            self._hub.close()

    def _connect(self) -> AsyncRedisClient:
        return connect_async(self._settings.buffer, _TRY_S)


def _refuse_eventlet() -> None:
    """Raises SettingsError where eventlet has replaced threads: the hub needs a thread of the system's."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        raise SettingsError(["eventlet has replaced the threads: use gunicorn's gthread worker, or tokentail web"])
