"""`python -m app`: one web process, configured by the environment alone.

Where several processes share a listening socket, the program that starts them passes it on: `--listen-fd 3`.
"""

import argparse
import logging
import os
import sys

from tokentail.config.library_checks import exit_if_changed
from tokentail.config.library_parts import WEB

exit_if_changed(WEB)  # before the imports that would fail

from app.serving.background_loop import BackgroundLoop
from app.serving.metrics import DeploymentCollector, WebMetrics
from app.serving.server import listen, serve
from app.wiring import wire_calls
from tokentail.config.key_ring import KeyRing
from tokentail.config.settings import Settings, load_settings
from tokentail.config.store_use import uses_of
from tokentail.errors import SettingsError
from tokentail.pauses import shorten_pauses
from tokentail.redis.backend import now_ms, open_backend
from tokentail.redis.client import connect_async
from tokentail.redis.preflight import require_store
from tokentail.telemetry.exposition import expose
from tokentail.telemetry.log_lines import configure_logging
from tokentail.telemetry.tracing import open_tracing

log = logging.getLogger("app")

_TRY_S = 0.6  # each try, and the reconnection before the second: a request waits for Redis at most two seconds
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
        keys = KeyRing(settings)
        configure_logging(settings.log_level, "web")
        require_store(uses_of(settings), _TRY_S)  # one that does not answer is no reason not to serve
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if settings.allow_open and not (settings.is_loopback or settings.is_keyed):
        log.warning("web.open", extra={"host": settings.host, "danger": "anybody who reaches it can use it"})
    return _run(settings, keys, listen_fd)


def _run(settings: Settings, keys: KeyRing, listen_fd: int | None) -> int:
    try:
        listener = listen(settings, listen_fd)
    except OSError as error:
        log.error("web.cannot_listen", extra={"host": settings.host, "port": settings.port, "error": error.strerror})
        return 1
    backend = open_backend(settings, timeout_s=_TRY_S)
    tracing = open_tracing(os.environ, "tokentail-web")
    calls = wire_calls(settings, backend, keys=keys, tracing=tracing)
    metrics = None
    if settings.web_metrics:
        scrape_backend = open_backend(settings, timeout_s=_SCRAPE_TRY_S)
        deployment = DeploymentCollector(scrape_backend, backend.observer, now_ms, keys)
        metrics = WebMetrics(deployment, backend.sweeper.totals)
        try:
            expose(settings.web_metrics, metrics.registry)
        except OSError as error:
            log.error("metrics.cannot_listen", extra={"address": settings.web_metrics, "error": error.strerror})
            return 1
    shorten_pauses()
    background_loop = BackgroundLoop(backend, calls.positions, calls.readers, settings.model)
    background_loop.start()
    try:
        is_stopped = serve(calls, connect_async(settings.buffer, _TRY_S), listener, metrics)
    finally:
        background_loop.stop(_STOP_S)
        tracing.stop()
    log.info("web.stopped")
    return 0 if is_stopped else 1


if __name__ == "__main__":
    sys.exit(main())
