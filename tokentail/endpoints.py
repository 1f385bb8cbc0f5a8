"""Endpoints: the providers that this deployment may call, by name. The only addresses that a worker ever calls.

They come from the well-known variables (OPENAI_API_KEY and the like) and from a TOML file that TOKENTAIL_PROVIDERS
names:

    [providers.groq]
    dialect = "openai_chat"
    base_url = "https://api.groq.com/openai/v1"
    api_key_env = "GROQ_API_KEY"        # the variable that holds the key; leave it out for servers without keys
    models = ["llama-3.3-70b"]          # leave it out to take any name

Then `groq/llama-3.3-70b` is a model name.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tokentail.dialects import HTTP_DIALECTS
from tokentail.errors import SettingsError
from tokentail.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_RESERVED = {"demo", "local"}
LOCAL_MODEL = "smollm2-135m"


@dataclass(frozen=True)
class Endpoint:
    """One provider's server."""

    name: str  # the part of a model's name before the slash
    dialect: str
    base_url: str
    api_key: str = field(default="", repr=False)
    models: tuple[str, ...] = ()  # empty: any
    is_background: bool = False  # openai_responses: run in the background, so that a lost stream can be taken up again


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dialect: str
    base_url: str
    api_key_env: str = ""
    models: list[str] = []
    background: bool = False


def load_endpoints(settings: Settings, environment: Mapping[str, str]) -> list[Endpoint]:
    """The endpoints in order of preference. Raises SettingsError with every fault of the file."""
    named = _named(settings, environment)
    names = {endpoint.name for endpoint in named}
    return [*named, *(endpoint for endpoint in _well_known(settings) if endpoint.name not in names)]


def key_variables(settings: Settings) -> set[str]:
    """The variables that the file says hold keys. A file that cannot be read holds none."""
    try:
        return {entry.api_key_env for _, entry in _entries(settings) if isinstance(entry, _Entry)} - {""}
    except SettingsError:
        return set()


def _well_known(s: Settings) -> Iterator[Endpoint]:
    if s.openai_api_key or s.openai_base_url:
        url = s.openai_base_url or "https://api.openai.com/v1"
        yield Endpoint("openai", "openai_chat", url, s.openai_api_key)
    if s.anthropic_api_key:
        yield Endpoint("anthropic", "anthropic", "https://api.anthropic.com", s.anthropic_api_key)
    if s.gemini_api_key:
        yield Endpoint("gemini", "gemini", "https://generativelanguage.googleapis.com", s.gemini_api_key)
    if s.ollama_host:
        yield Endpoint("ollama", "ollama", _ollama_url(s.ollama_host))
    if s.local_url:
        yield Endpoint("local", "openai_chat", s.local_url, models=(LOCAL_MODEL,))


def _ollama_url(host: str) -> str:
    """Ollama's own variable may leave out the scheme and the port, and names what the server listens on."""
    url = host if "://" in host else f"http://{host}"
    parts = urlsplit(url)
    name = "127.0.0.1" if parts.hostname in {None, "", "0.0.0.0", "::"} else str(parts.hostname)  # noqa: S104
    port = parts.port or (443 if parts.scheme == "https" else 11434)
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}"


def _named(settings: Settings, environment: Mapping[str, str]) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    faults: list[str] = []
    for name, entry in _entries(settings):
        told = [entry] if isinstance(entry, str) else list(_faults(name, entry, environment))
        faults.extend(f"{settings.providers}: providers.{name}: {fault}" for fault in told)
        if isinstance(entry, _Entry) and not told:
            key = environment.get(entry.api_key_env, "") if entry.api_key_env else ""
            models = tuple(entry.models)
            endpoints.append(Endpoint(name, entry.dialect, entry.base_url, key, models, entry.background))
    if faults:
        raise SettingsError(faults)
    return endpoints


def _entries(settings: Settings) -> list[tuple[str, _Entry | str]]:
    """(name, entry or what is wrong with it) of the file's providers."""
    if not settings.providers:
        return []
    try:
        with open(settings.providers, "rb") as file:
            document: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise SettingsError([f"TOKENTAIL_PROVIDERS: {settings.providers} cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{settings.providers}: is not TOML: {error}"]) from None
    providers = document.get("providers")
    if set(document) != {"providers"} or not isinstance(providers, dict):
        raise SettingsError([f"{settings.providers}: holds tables named [providers.NAME], and nothing else"])
    return [(name, _entry(table)) for name, table in providers.items()]


def _entry(table: Any) -> _Entry | str:
    try:
        return msgspec.convert(table, _Entry)
    except msgspec.ValidationError as error:
        return str(error)


def _faults(name: str, entry: _Entry, environment: Mapping[str, str]) -> Iterator[str]:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        yield "the name has lower-case letters, digits, _ and -, and is neither demo nor local"
    if entry.dialect not in HTTP_DIALECTS:
        yield f"dialect: is none of {', '.join(sorted(HTTP_DIALECTS))}"
    try:
        parts = urlsplit(entry.base_url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        is_address = False
    if not is_address:
        yield "base_url: is not an http:// or https:// address"
    if entry.api_key_env and not environment.get(entry.api_key_env):
        yield f"api_key_env: {entry.api_key_env} is not set"
    if any(not model or model.endswith("*") for model in entry.models):
        yield "models: are whole names"
    if entry.background and entry.dialect != "openai_responses":
        yield "background: only openai_responses has it"
