"""`tokentail up`: everything on one machine, and its supervisor.

It holds the data directory's lock for life, starts its children from its main thread, starts again those that die, and
stops them in order: web, worker, local model, and Valkey last, which has what the others wrote.
"""

import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from functools import partial

from tokentail.config.address import Address, address_of
from tokentail.config.default_model import require_default_model
from tokentail.config.endpoints import key_variables
from tokentail.config.key_ring import KeyRing
from tokentail.config.local_model import missing_packages
from tokentail.config.settings import Settings
from tokentail.config.store_use import uses_of
from tokentail.jobs.fleet import Fleet
from tokentail.redis.client import connect
from tokentail.redis.preflight import require_store
from tokentail.supervisor.child import start_child
from tokentail.supervisor.data_lock import DataLock
from tokentail.supervisor.embedded_valkey import EmbeddedValkey, is_answering
from tokentail.supervisor.probe import probe
from tokentail.supervisor.programs import python_argv, stop_within_s
from tokentail.supervisor.service import NotStarted, Service
from tokentail.supervisor.services import Services, Stopped, supervisor_signals

_START_TIMEOUT_S = 60.0
_LOADING_TIMEOUT_S = 600.0  # Valkey reads its whole file first
_REDIS_TIMEOUT_S = 5.0
_MODEL_GRACE_S = 3.0
_VALKEY_GRACE_S = 30.0
_SECRETS = frozenset(f.metadata["name"] for f in fields(Settings) if f.metadata["secret"])

Say = Callable[[str], None]


def run_up(settings: Settings, environment: Mapping[str, str], say: Say, warn: Say) -> None:
    """Start everything, look after it, and stop it when a signal asks for that.

    `environment` is what the children inherit. Raises SettingsError, AlreadyRunning, ValkeyNotStarted, NotStarted,
    OSError.
    """
    require_default_model(settings, environment)
    KeyRing(settings)  # raises SettingsError for a keys file that cannot be read
    require_store(uses_of(settings), _REDIS_TIMEOUT_S)
    with supervisor_signals() as signals, DataLock(settings.data_dir) as lock:
        port = free_port(settings.host, settings.port)
        url = Address(settings.host, port).url
        lock.tell(url)
        up = _Up(settings, environment, port, url, Services(signals), warn)
        is_hurried = True
        try:
            up.start()
            say(_welcome(settings, url, up.models))
            # The operator who presses Ctrl-C wants the terminal; a service manager's SIGTERM gives jobs their grace.
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
        self.models: list[str] = []  # the names that prompts could ask for when it had started
        self._environment = dict(environment) | {"TOKENTAIL_HOST": settings.host, "TOKENTAIL_PORT": str(port)}

    def start(self) -> None:
        """Return when prompts are answered, and `models` has names. Raises NotStarted, ValkeyNotStarted, Stopped."""
        self._start_redis()
        model = self._start_local_model() if wants_local_model(self._settings) else None
        # Keys of providers are for the one who calls providers.
        self._start_python("worker", "worker", self._environment, stop_within_s(self._settings))
        self._start_python(
            "web", "app", _without(self._environment, self._provider_keys()), stop_within_s(self._settings)
        )
        self._services.wait_until(self._has_web_server, _START_TIMEOUT_S, "the web server")
        self._services.wait_until(self._has_worker, _START_TIMEOUT_S, "the worker")
        if model is not None:
            self._services.wait_until(lambda: probe(f"{model}/health") is not None, _START_TIMEOUT_S, "the local model")

    def supervise(self) -> Collection[int]:
        """Restart what dies, until signals ask to stop; returns these signals."""
        return self._services.tend()

    def stop(self, *, is_hurried: bool) -> None:
        """Stop every service, the last started first. In a hurry, jobs get no grace; a further signal hurries, too."""
        grace = "go back to the queue" if is_hurried else f"get {self._settings.grace_s:g} s; Ctrl-C ends that"
        self._warn(f"stopping; running jobs {grace}")
        self._services.stop_in_turn(is_hurried=is_hurried)
        if self._valkey:
            self._valkey.stop()

    def _provider_keys(self) -> set[str]:
        """The variables with keys of providers, those included that only a later version knows."""
        well_known = {name for name in self._environment if name.endswith("_API_KEY")}
        return well_known | key_variables(self._settings)

    # -- starting -----------------------------------------------------------------------------------------------------

    def _start_redis(self) -> None:
        settings = self._settings
        if settings.buffer and settings.queue:
            for use in uses_of(settings):
                self._services.wait_until(partial(is_answering, use.url), _REDIS_TIMEOUT_S, f"Redis ({use.setting})")
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
            "worker.upstream.local_model",
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

    def _has_web_server(self) -> bool:
        return probe(f"{self._url}/healthz") == {"status": "ok"}

    def _has_worker(self) -> bool:
        self.models = served_models(probe(f"{self._url}/readyz"))
        return bool(self.models)


def served_models(report: Mapping[str, object] | None) -> list[str]:
    """The names that the workers in a report of `/readyz` serve; none in an answer that is no such report."""
    models = report.get("models") if report else None
    return [name for name in models if isinstance(name, str) and name] if isinstance(models, list) else []


def wants_local_model(settings: Settings) -> bool:
    """Whether `up` serves the local model: when it is asked for, or when nothing else is and its packages are there."""
    if settings.local_url:
        return False  # another server answers there
    if settings.model:
        return settings.asks_for_local_model
    return not (settings.names_a_provider or missing_packages())


def free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0, after a look whether it can be listened on. Raises NotStarted."""
    try:
        with Address(host, port).listen() as listener:
            return address_of(listener).port
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise NotStarted(
            f"cannot listen on {host} port {port}: {reason}; choose others with --host and --port"
        ) from None


def _without(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def _welcome(settings: Settings, url: str, models: Sequence[str]) -> str:
    key = "-H 'Authorization: Bearer <key>' " if settings.is_keyed else ""
    at = "" if url == "http://127.0.0.1:8000" else f" --url {url}"
    default = settings.model or models[0]
    # A pattern is not a model: the operator who configured the provider knows its models' names.
    name = f"{default[:-1]}NAME" if default.endswith("*") else ""
    field, option = (f', "model": "{name}"', f" --model {name}") if name else ("", "")
    return f"""Tokentail is at {url} and serves {", ".join(models)}

  curl -s {key}-H 'Content-Type: application/json' -d '{{"prompt": "Why is the sky blue?"{field}}}' {url}/v1/jobs
  {_command()} ask{at}{option} "Why is the sky blue?"

Ctrl-C stops it."""


def _command() -> str:
    """The command by which this program was called, as far as a user can paste it."""
    called = sys.argv[0]
    return called if called.endswith("tokentail") and os.sep in called and not os.path.isabs(called) else "tokentail"
