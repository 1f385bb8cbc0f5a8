"""`python -m app`: one web process, configured by the environment alone.

Where several share a listening socket, whoever started them passes it on: `--listen-fd 3`.
"""

import argparse
import logging
import os
import sys

from app.calls import wire_calls
from app.caretaker import Caretaker
from app.metrics import DeploymentCollector, WebMetrics
from app.read_plane.async_store import open_redis
from app.server import listen, serve
from tokentail.backend import now_ms, open_backend
from tokentail.errors import SettingsError
from tokentail.log_lines import configure_logging
from tokentail.metrics.exposition import expose
from tokentail.settings import Settings, load_settings

log = logging.getLogger("app")

_TRY_S = 0.9  # each of two tries at Redis: whoever waits for it hears within two seconds
_SCRAPE_TRY_S = 0.5  # a scraper that waits ten seconds would rather have the rest of the metrics
_STOP_S = 2.0


def main() -> int:
    """Serve until a signal. Exit codes: 0 stopped, 1 no address or a fault of ours, 2 the settings are at fault."""
    options = argparse.ArgumentParser(prog="python -m app")
    options.add_argument("--listen-fd", type=int, help="an open socket to listen on, instead of one of its own")
    listen_fd: int | None = options.parse_args().listen_fd
    try:
        settings = load_settings(os.environ)
        settings.require_redis()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    if settings.allow_open and not (settings.is_loopback or settings.api_keys):
        log.warning("web.open", extra={"host": settings.host, "danger": "anybody who reaches it can use it"})
    return _run(settings, listen_fd)


def _run(settings: Settings, listen_fd: int | None) -> int:
    try:
        listener = listen(settings, listen_fd)
    except OSError as error:
        log.error("web.cannot_listen", extra={"host": settings.host, "port": settings.port, "error": error.strerror})
        return 1
    backend = open_backend(settings, timeout_s=_TRY_S)
    calls = wire_calls(settings, backend)
    metrics = None
    if settings.web_metrics:
        scrape_backend = open_backend(settings, timeout_s=_SCRAPE_TRY_S)
        deployment = DeploymentCollector(scrape_backend, backend.observer, now_ms)
        metrics = WebMetrics(deployment, backend.sweeper.totals)
        try:
            expose(settings.web_metrics, metrics.registry)
        except OSError as error:
            log.error("metrics.cannot_listen", extra={"address": settings.web_metrics, "error": error.strerror})
            return 1
    caretaker = Caretaker(backend, calls.places)
    caretaker.start()
    try:
        is_stopped = serve(calls, open_redis(settings.buffer, _TRY_S), listener, metrics)
    finally:
        calls.wakeups.close()
        caretaker.stop(_STOP_S)
    log.info("web.stopped")
    return 0 if is_stopped else 1


if __name__ == "__main__":
    sys.exit(main())
