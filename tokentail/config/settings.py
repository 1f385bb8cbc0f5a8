"""Settings: read once from a mapping (the environment), checked as a whole, passed in.

Every fault is reported, not just the first. Secrets hide in `repr` and in `describe`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tokentail.config.address import Address, is_http_url
from tokentail.config.setting_text import read_setting
from tokentail.config.store_faults import store_faults
from tokentail.config.webhook_faults import webhook_faults
from tokentail.errors import InvalidRequest, SettingsError
from tokentail.jobs.job import Retention
from tokentail.jobs.models import demo_options
from tokentail.jobs.webhook import KEPT_MS

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DATA_DIR = Path("data")
_LEAST_SECRET = 32
_CREDENTIALS = re.compile(r"://[^/?#]*@")
_PARAMETER = re.compile(r"([?&][^=&#]*)=[^&#]*")


def _setting(name: str, default: Any, meaning: str, **bounds: Any) -> Any:
    secret = bounds.pop("secret", False)
    metadata = {"name": name, "meaning": meaning, "secret": secret, **bounds}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """One deployment's configuration; each field names its environment variable and its meaning."""

    redis_url: str = _setting("REDIS_URL", "", "Redis for everything; empty: `up` starts its own", secret=True)
    queue_url: str = _setting("TOKENTAIL_QUEUE_URL", "", "Redis of the queue, if another", secret=True)
    buffer_url: str = _setting("TOKENTAIL_BUFFER_URL", "", "Redis of jobs and logs, if another", secret=True)
    submit_wait_ms: int = _setting(
        "TOKENTAIL_SUBMIT_WAIT_MS", 0, "longest wait until a replica has a new job, or it is refused", least=0, most=500
    )
    host: str = _setting("TOKENTAIL_HOST", "127.0.0.1", "address to listen on")
    port: int = _setting("TOKENTAIL_PORT", 8000, "port to listen on; 0: any free one", least=0, most=65535)
    data_dir: Path = _setting("TOKENTAIL_DATA_DIR", _DATA_DIR, "where `up` keeps its data")
    model: str = _setting(
        "TOKENTAIL_MODEL",
        "",
        "model of requests that name none, such as local, demo or openai/NAME; empty: the first one served",
    )
    api_keys: tuple[str, ...] = _setting("TOKENTAIL_API_KEYS", (), "bearer keys, comma-separated", secret=True)
    keys_file: str = _setting("TOKENTAIL_KEYS_FILE", "", "TOML file with named API keys; tokentail keys writes it")
    secret: str = _setting(
        "TOKENTAIL_SECRET", "", "signs sessions and share links; empty: made from the API keys", secret=True
    )
    allow_open: bool = _setting("TOKENTAIL_ALLOW_OPEN", False, "listen beyond loopback without API keys (dangerous)")
    allowed_hosts: tuple[str, ...] = _setting("TOKENTAIL_ALLOWED_HOSTS", (), "Host names to answer to; * is any")
    cors_origins: tuple[str, ...] = _setting("TOKENTAIL_CORS_ORIGINS", (), "origins of pages that may call; * is any")
    get_stream: bool = _setting("TOKENTAIL_GET_STREAM", True, "whether there is GET /stream, a GET that submits")
    max_body_bytes: int = _setting("TOKENTAIL_MAX_BODY_BYTES", 4 << 20, "largest request body", least=1024)
    max_wait_s: float = _setting("TOKENTAIL_MAX_WAIT_S", 25.0, "longest wait of a long poll", least=0, most=300)
    max_key_waits: int = _setting(
        "TOKENTAIL_MAX_KEY_WAITS", 0, "waiting readers of one API key in one web process; 0: half of all", least=0
    )
    max_connections: int = _setting(
        "TOKENTAIL_MAX_CONNECTIONS", 20_000, "connections to one web process at once; beyond them: 503", least=1
    )
    stall_s: float = _setting(
        "TOKENTAIL_STALL_S", 30.0, "time after which a stream's reader that takes nothing is cut off", least=0.1
    )
    web_threads: int = _setting(
        "TOKENTAIL_WEB_THREADS", 256, "requests a web process serves at once", least=1, most=1024
    )
    retention_s: float = _setting("TOKENTAIL_RETENTION_S", 86400.0, "how long a closed job can be read", least=1)
    min_retention_s: float = _setting(
        "TOKENTAIL_MIN_RETENTION_S", 60.0, "least retention_s that a request may ask for", least=1
    )
    max_retention_s: float = _setting(
        "TOKENTAIL_MAX_RETENTION_S", 0.0, "longest of a request's retention_s; 0: TOKENTAIL_RETENTION_S", least=0
    )
    erase_rewrite_s: float = _setting(
        "TOKENTAIL_ERASE_REWRITE_S",
        3600.0,
        "time after which erased content has left Redis's append-only file; 0: when Redis rewrites it by itself",
        least=0,
    )
    tombstone_s: float = _setting("TOKENTAIL_TOMBSTONE_S", 7 * 86400.0, "how long it answers 410 after that", least=0)
    max_log_bytes: int = _setting("TOKENTAIL_MAX_LOG_BYTES", 16 << 20, "a log's limit; its job then fails", least=1024)
    queue_timeout_s: float = _setting("TOKENTAIL_QUEUE_TIMEOUT_S", 3600.0, "longest time in the queue", least=1)
    max_open_jobs: int = _setting("TOKENTAIL_MAX_OPEN_JOBS", 20_000, "jobs queued or running at once, in all", least=1)
    max_client_jobs: int = _setting(
        "TOKENTAIL_MAX_CLIENT_JOBS", 5000, "jobs queued or running at once, of one API key", least=1
    )
    max_user_jobs: int = _setting(
        "TOKENTAIL_MAX_USER_JOBS",
        0,
        "jobs queued or running at once, of one user of an API key; 0: any number",
        least=0,
    )
    client_share: float = _setting(
        "TOKENTAIL_CLIENT_SHARE",
        0.5,
        "part of the workers' slots that one API key may take while others wait",
        least=0,
        most=1,
    )
    rq_result_ttl_s: int = _setting(
        "TOKENTAIL_RQ_RESULT_TTL_S", 60, "how long RQ keeps an execution that is over, for its tools", least=1
    )
    max_losses: int = _setting("TOKENTAIL_MAX_LOSSES", 5, "workers that may be lost on one job", least=1)
    lease_s: float = _setting("TOKENTAIL_LEASE_S", 6.0, "silence after which a worker is dead", least=2)
    worker_concurrency: int = _setting("TOKENTAIL_WORKER_CONCURRENCY", 200, "jobs one worker runs at once", least=1)
    drain_s: float = _setting(
        "TOKENTAIL_DRAIN_S", 2.0, "how long a web process serves after SIGTERM while /readyz is 503", least=0, most=300
    )
    grace_s: float = _setting("TOKENTAIL_GRACE_S", 25.0, "for jobs and OpenAI's streams to end after SIGTERM", least=0)
    connect_timeout_s: float = _setting("TOKENTAIL_CONNECT_TIMEOUT_S", 10.0, "to reach the provider", least=0.1)
    first_token_timeout_s: float = _setting(
        "TOKENTAIL_FIRST_TOKEN_TIMEOUT_S", 600.0, "longest silence of a provider before its first token", least=0.1
    )
    idle_timeout_s: float = _setting(
        "TOKENTAIL_IDLE_TIMEOUT_S", 300.0, "longest silence after it; whatever the provider sends ends one", least=0.1
    )
    content_timeout_s: float = _setting(
        "TOKENTAIL_CONTENT_TIMEOUT_S", 900.0, "longest time with signs of life and nothing to show", least=0.1
    )
    job_timeout_s: float = _setting("TOKENTAIL_JOB_TIMEOUT_S", 1800.0, "one attempt as a whole", least=0.1)
    max_timeout_s: float = _setting(
        "TOKENTAIL_MAX_TIMEOUT_S", 3600.0, "longest of these that a request may ask for", least=0.1, most=86400
    )
    openai_api_key: str = _setting("OPENAI_API_KEY", "", "key for openai/… models", secret=True)
    openai_base_url: str = _setting("OPENAI_BASE_URL", "", "any OpenAI-compatible server, up to and with /v1")
    anthropic_api_key: str = _setting("ANTHROPIC_API_KEY", "", "key for anthropic/… models", secret=True)
    gemini_api_key: str = _setting("GEMINI_API_KEY", "", "key for gemini/… models", secret=True)
    ollama_host: str = _setting("OLLAMA_HOST", "", "an Ollama server, for ollama/… models")
    providers: str = _setting("TOKENTAIL_PROVIDERS", "", "TOML file with more providers")
    retries: int = _setting("TOKENTAIL_RETRIES", 2, "further calls of a provider that failed", least=0, most=20)
    local_url: str = _setting("TOKENTAIL_LOCAL_URL", "", "where the local model is served; `up` sets it")
    webhook_urls: tuple[str, ...] = _setting(
        "TOKENTAIL_WEBHOOK_URLS", (), "addresses that receive each job's end, comma-separated", secret=True
    )
    webhook_secrets: tuple[str, ...] = _setting(
        "TOKENTAIL_WEBHOOK_SECRETS", (), "sign webhooks: whsec_ and base64; several during a change", secret=True
    )
    webhook_timeout_s: float = _setting("TOKENTAIL_WEBHOOK_TIMEOUT_S", 10.0, "one try of a webhook", least=0.1, most=60)
    log_level: str = _setting("TOKENTAIL_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")
    worker_metrics: Address | None = _setting(
        "TOKENTAIL_WORKER_METRICS", None, "host:port of a worker's metrics; the i-th of several has port + i"
    )
    web_metrics: Address | None = _setting(
        "TOKENTAIL_WEB_METRICS", None, "host:port of a web process's metrics; the i-th of several has port + i"
    )

    @property
    def queue(self) -> str:
        """The URL of the queue's Redis."""
        return self.queue_url or self.redis_url

    @property
    def buffer(self) -> str:
        """The URL of the Redis with jobs and logs."""
        return self.buffer_url or self.redis_url

    @property
    def retention(self) -> Retention:
        return Retention(
            int(self.retention_s * 1000),
            int(self.tombstone_s * 1000),
            webhook_ms=KEPT_MS if self.webhook_urls else 0,
            least_ms=int(min(self.min_retention_s, self.retention_s) * 1000),
            most_ms=int((self.max_retention_s or self.retention_s) * 1000),
        )

    @property
    def names_a_provider(self) -> bool:
        """Whether some provider besides `local` and `demo` is configured."""
        keys = (self.openai_api_key, self.openai_base_url, self.anthropic_api_key, self.gemini_api_key)
        return any((*keys, self.ollama_host, self.providers))

    @property
    def asks_for_local_model(self) -> bool:
        """Whether the default model is the local one, by its provider's name or its own."""
        return self.model.partition("/")[0] == "local"

    @property
    def is_keyed(self) -> bool:
        """Whether callers need an API key; also where the keys file has none yet."""
        return bool(self.api_keys or self.keys_file)

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    def waits_of_key(self, places: int) -> int:
        """How many readers of one key may wait in a process in which `places` readers may wait.

        One key cannot take them all; where there are no keys, there is one client, which has everything.
        """
        return self.max_key_waits or (max(places // 2, 1) if self.is_keyed else places)

    def require_redis(self) -> None:
        """Raises SettingsError unless both of Redis's tasks have an address."""
        if not (self.buffer and self.queue):
            raise SettingsError(["REDIS_URL: is not set; set it, or start everything at once with: tokentail up"])

    def describe(self) -> Iterator[tuple[str, str, str]]:
        """(variable, value in force, meaning) of each setting, secrets hidden."""
        for f in fields(self):
            value = getattr(self, f.name)
            shown = ",".join(value) if isinstance(value, tuple) else "" if value is None else _shown(str(value))
            if f.metadata["secret"] and value:
                noun = f.metadata["name"].rpartition("_")[2].lower()  # keys, urls, secrets
                counted = f"1 {noun[:-1]}" if len(value) == 1 else f"{len(value)} {noun}"
                shown = f"(set, {counted})" if isinstance(value, tuple) else "(set)"
            yield f.metadata["name"], shown, f.metadata["meaning"]


def load_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`. An empty variable counts as absent. Raises SettingsError with every fault."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for f in fields(Settings):
        name = f.metadata["name"]
        text = environment.get(name, "").strip()
        if not text:
            continue
        try:
            values[f.name] = read_setting(text, type(f.default), f.metadata)
        except ValueError as error:
            faults.append(f"{name}: {error}")
            values.pop(f.name, None)
    settings = Settings(**values)
    faults.extend(_cross_checks(settings))
    if faults:
        raise SettingsError(faults)
    return settings


def _cross_checks(s: Settings) -> Iterator[str]:
    yield from store_faults(s.redis_url, s.queue_url, s.buffer_url)
    for name, url in (("OPENAI_BASE_URL", s.openai_base_url), ("TOKENTAIL_LOCAL_URL", s.local_url)):
        if url and not is_http_url(url):
            yield f"{name}: is not an http:// or https:// address"
    for position, key in enumerate(s.api_keys, start=1):
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            yield f"TOKENTAIL_API_KEYS: key {position} has characters that a header cannot carry"
    if 0 < s.max_retention_s < s.retention_s:
        yield "TOKENTAIL_MAX_RETENTION_S: is below TOKENTAIL_RETENTION_S"
    if s.secret and len(s.secret) < _LEAST_SECRET:
        yield (
            f"TOKENTAIL_SECRET: is shorter than {_LEAST_SECRET} characters, and what it signs is public; "
            "make one with: openssl rand -hex 32"
        )
    if not s.is_loopback and not s.is_keyed and not s.allow_open:
        yield (
            f"TOKENTAIL_HOST: {s.host} is reachable from outside, and neither TOKENTAIL_API_KEYS nor "
            "TOKENTAIL_KEYS_FILE is set; set keys, listen on 127.0.0.1, or give --allow-open"
        )
    if s.web_metrics and s.web_metrics.port and s.web_metrics in {s.worker_metrics, Address(s.host, s.port)}:
        yield "TOKENTAIL_WEB_METRICS: is an address that something else listens on"
    yield from webhook_faults(s.webhook_urls, s.webhook_secrets)
    yield from _model_faults(s.model)
    if s.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        yield "TOKENTAIL_LOG_LEVEL: is not DEBUG, INFO, WARNING or ERROR"


def _model_faults(model: str) -> Iterator[str]:
    if model.endswith(("/", "*")):
        yield f"TOKENTAIL_MODEL: {model} names no single model; name one, such as {model.rstrip('/*')}/NAME"
    elif model.startswith("demo?"):
        try:
            demo_options(model)
        except InvalidRequest as error:
            yield f"TOKENTAIL_MODEL: {error.faults[0].message}"


def _shown(text: str) -> str:
    """A setting's text; of an address without credentials, and without the values of parameters."""
    return _PARAMETER.sub(r"\1=…", _CREDENTIALS.sub("://…@", text)) if "://" in text else text
