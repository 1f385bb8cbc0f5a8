"""The background loop: a thread of a web process that watches the workers, sweeps in turn and refreshes positions."""

import logging
import threading

from app.calls.default_model import DefaultModel
from app.calls.positions import QueuePositions
from app.reading.readers import Readers
from tokentail.redis.backend import Backend

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class BackgroundLoop:
    """Start it once; it goes on through every outage until it is stopped."""

    def __init__(self, backend: Backend, positions: QueuePositions, readers: Readers, default_model: str) -> None:
        self._backend = backend
        self._readers = readers
        self._places = positions
        self._default_model = DefaultModel(default_model, backend.observer)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background_loop", daemon=True)
        self._trouble = ""  # what was logged last

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop, and wait for the round under way for at most `timeout_s`."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        steps = (
            self._backend.observer.observe,
            self._default_model.compare,
            self._places.refresh,
            self._readers.tell,
            self._backend.sweeper.sweep_in_turn,  # last: it reports whether anything went wrong
        )
        while not self._stopping.is_set():
            trouble = ""
            for step in steps:
                try:
                    step()
                except Exception as error:
                    # It must not die of what it finds: without it, lost jobs stay lost. Nor must one step stop another.
                    trouble = trouble or type(error).__name__
            self._tell(trouble)
            self._stopping.wait(_EVERY_S)

    def _tell(self, trouble: str) -> None:
        """Say it once an outage, not once a second."""
        if trouble and trouble != self._trouble:
            log.warning("background_loop.interrupted", extra={"error": trouble})
        elif self._trouble and not trouble:
            log.info("background_loop.resumed")
        self._trouble = trouble
