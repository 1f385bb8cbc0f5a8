"""The WSGI entry: Flask's binding for any WSGI server, and what a web process does beside answering.

`gunicorn --worker-class gthread --threads 64 "app.wsgi:application()"`

Each process watches the workers and takes its turn at the sweep. Where a server loads this first and forks then, each
child opens everything anew: threads do not outlive a fork, and connections cannot be shared.
"""

import atexit
import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING

from app.calls import wire_calls
from app.caretaker import Caretaker
from app.flask_app import create_app
from tokentail.backend import open_backend
from tokentail.log_lines import configure_logging
from tokentail.settings import Settings, load_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_TRY_S = 0.9  # each of two tries at Redis: whoever waits for it hears within two seconds
_STOP_S = 2.0


def application() -> "Application":
    """The WSGI application, as the environment says. Raises SettingsError. Call it once a process."""
    settings = load_settings(os.environ)
    settings.require_redis()
    configure_logging(settings.log_level)
    opened = Application(settings)
    os.register_at_fork(after_in_child=opened.open)
    atexit.register(opened.close)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            _heed(number, opened)
    return opened


class Application:
    """The calls, Flask in front of them, and the threads beside them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.open()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._flask(environ, start_response)

    def open(self) -> None:
        """Open everything, for this process."""
        backend = open_backend(self._settings, timeout_s=_TRY_S)
        calls = wire_calls(self._settings, backend)
        self._flask: WSGIApplication = create_app(calls)
        self._wakeups = calls.wakeups
        self._caretaker = Caretaker(backend, calls.places)
        self._caretaker.start()
        self._stopping = threading.Event()
        threading.Thread(target=self._let_go, name="let-go", daemon=True).start()

    def let_everybody_go(self) -> None:
        """Soon whoever waits is answered, and nobody waits any more. A signal handler may call this."""
        self._stopping.set()

    def close(self) -> None:
        """Stop what runs beside the answers."""
        self._stopping.set()
        self._caretaker.stop(_STOP_S)

    def _let_go(self) -> None:
        # Not in the signal handler itself: what it interrupts may hold the lock that this takes.
        self._stopping.wait()
        self._wakeups.close()


def _heed(number: signal.Signals, opened: Application) -> None:
    """At the server's signal to stop, first let those go who wait; a server would wait for them."""
    servers_own = signal.getsignal(number)
    if not callable(servers_own):
        return  # the process just ends

    def stop(signal_number: int, frame: FrameType | None) -> None:
        opened.let_everybody_go()
        servers_own(signal_number, frame)

    signal.signal(number, stop)
