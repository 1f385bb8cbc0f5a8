"""The default model, as a web process sees it: a line in the log when no worker serves it, and when one does again."""

import logging

from app.calls.positions import models_of
from tokentail.jobs.fleet import Observer
from tokentail.jobs.models import model_fault

log = logging.getLogger(__name__)


class DefaultModel:
    """Compares the setting with what the live workers serve. While no worker lives, it judges nothing."""

    def __init__(self, model: str, observer: Observer) -> None:
        self._model = model
        self._observer = observer  # observed elsewhere, each second
        self._fault = ""  # what was logged last

    def compare(self) -> None:
        """Log a change, once."""
        models = models_of(self._observer.live)
        if not models:
            return
        fault = model_fault(self._model, models)
        if fault and not self._fault:
            log.warning("model.not_served", extra={"model": self._model, "fault": fault})
        elif self._fault and not fault:
            log.info("model.served", extra={"model": self._model})
        self._fault = fault
