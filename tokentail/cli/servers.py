"""`up`, `web` and `worker`: the commands that serve."""

import os

import click

from tokentail.config.library_checks import require
from tokentail.config.library_parts import SUPERVISOR, WEB, WORKER

require(SUPERVISOR)  # before the imports that would fail; each child looks for itself

from tokentail.config.settings import Settings, load_settings
from tokentail.config.store_use import uses_of
from tokentail.redis.preflight import require_store
from tokentail.supervisor.processes import run_webs, run_workers
from tokentail.supervisor.programs import python_argv
from tokentail.supervisor.service import NotStarted
from tokentail.supervisor.up import run_up
from tokentail.telemetry.log_lines import configure_logging

_REDIS_TIMEOUT_S = 5.0

_allow_open = click.option(
    "--allow-open",
    is_flag=True,
    help="Listen beyond this machine without API keys: anybody can use it (TOKENTAIL_ALLOW_OPEN).",
)
_processes = click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many to run; whichever dies is started again.",
)


@click.command()
@click.option("--host", help="Address to listen on (TOKENTAIL_HOST; 127.0.0.1).")
@click.option("--port", help="Port to listen on (TOKENTAIL_PORT; 8000); 0 is any free one.")
@click.option("--data-dir", help="Where the data are kept (TOKENTAIL_DATA_DIR; ./data).")
@click.option("--model", help="Model of requests that name none (TOKENTAIL_MODEL): local, demo, openai/NAME, ….")
@_allow_open
def up(host: str | None, port: str | None, data_dir: str | None, model: str | None, *, allow_open: bool) -> None:
    """Start everything on this machine, and look after it until Ctrl-C.

    It starts its own Valkey unless REDIS_URL is set, a worker, the web server, and a small local model when that is
    asked for, or when nothing else is configured and its packages are installed.

    Example: tokentail up --port 8080 --model demo
    """
    given = {
        "TOKENTAIL_HOST": host,
        "TOKENTAIL_PORT": port,
        "TOKENTAIL_DATA_DIR": data_dir,
        "TOKENTAIL_MODEL": model,
        "TOKENTAIL_ALLOW_OPEN": "true" if allow_open else None,
    }
    environment = dict(os.environ) | {name: value for name, value in given.items() if value is not None}
    settings = load_settings(environment)
    configure_logging(settings.log_level, "supervisor")
    try:
        run_up(settings, environment, click.echo, lambda line: click.echo(f"tokentail: {line}", err=True))
    except OSError as error:
        raise NotStarted(f"cannot start: {error}") from None


@click.command()
@_processes
@_allow_open
def web(processes: int, *, allow_open: bool) -> None:
    """Run the web server; settings come from the environment (`tokentail check` lists them).

    Several processes share one port.

    Example: tokentail web --processes 2
    """
    if allow_open:
        os.environ["TOKENTAIL_ALLOW_OPEN"] = "true"
    if processes == 1:
        _become("app")
    else:
        require(WEB)  # said once, and not by each process
        run_webs(_settings(), os.environ, processes)


@click.command()
@_processes
def worker(processes: int) -> None:
    """Run a worker; settings come from the environment (`tokentail check` lists them).

    Example: tokentail worker --processes 2
    """
    if processes == 1:
        _become("worker")
    else:
        require(WORKER)
        run_workers(_settings(), os.environ, processes)


def _settings() -> Settings:
    settings = load_settings(os.environ)
    configure_logging(settings.log_level, "supervisor")
    require_store(uses_of(settings), _REDIS_TIMEOUT_S)  # said once, not by each process
    return settings


def _become(module: str) -> None:
    argv = python_argv(module)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
