"""The caretaker: a web process's thread that watches the workers, takes its turn at the sweep, keeps places fresh."""

import logging
import threading

from app.snapshots import Places
from tokentail.backend import Backend
from tokentail.errors import StoreFull, StoreUnavailable

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class Caretaker:
    """Start it once; it goes on through every outage until it is stopped."""

    def __init__(self, backend: Backend, places: Places) -> None:
        self._backend = backend
        self._places = places
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)
        self._trouble = ""  # what the log was told last

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop, and wait for the round under way for at most `timeout_s`."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._backend.observer.observe()
                self._places.refresh()
                self._backend.sweeper.sweep_in_turn()  # which says in the end whether anything went wrong
            except (StoreUnavailable, StoreFull) as error:
                self._tell(type(error).__name__)
            except Exception as error:
                # It must not die of what it finds: without it, lost jobs stay lost.
                self._tell(type(error).__name__)
            else:
                self._tell("")
            self._stopping.wait(_EVERY_S)

    def _tell(self, trouble: str) -> None:
        """Say it once an outage, not once a second."""
        if trouble and trouble != self._trouble:
            log.warning("caretaker.interrupted", extra={"error": trouble})
        elif self._trouble and not trouble:
            log.info("caretaker.resumed")
        self._trouble = trouble
