"""Endpoints: the providers that this deployment may call, by name. The only addresses that a worker ever calls.

They come from the well-known variables (OPENAI_API_KEY and the like) and from a TOML file that TOKENTAIL_PROVIDERS
names:

    [providers.groq]
    dialect = "openai_chat"
    base_url = "https://api.groq.com/openai/v1"
    api_key_env = "GROQ_API_KEY"        # the variable that holds the key; leave it out for servers without keys
    models = ["llama-3.3-70b"]          # leave it out to take any name
    headers = {"api-key" = "${KEY}"}    # of the deployment's own; a variable's value stands for ${ITS_NAME}
    query = {"api-version" = "1"}       # likewise, behind the path
    timeouts = {content_s = 1800}       # deadlines in the place of the deployment's; leave out those that fit
    model_timeouts."llama-3.3-70b" = {first_token_s = 60}

Then `groq/llama-3.3-70b` is a model name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from tokentail.config.address import is_http_url
from tokentail.config.local_model import LOCAL_MODEL
from tokentail.config.settings import Settings
from tokentail.config.toml_file import NamedTables, read_entry, read_tables
from tokentail.errors import SettingsError
from tokentail.jobs.dialects import HTTP_DIALECTS
from tokentail.jobs.request import DEFAULT_TIMEOUTS, Timeouts

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_RESERVED = {"demo", "local"}
_NOUN = "a provider"
_NO_KEY = "api_key_env, which its entry in the providers file does not have"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
# Headers that say how the call itself is sent, and how its stream must come.
_HEADERS_OF_CALLS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "te"}
    | {"trailer", "transfer-encoding", "upgrade"}
)
_SECRET_NAME = re.compile(r"auth|cookie|credential|key|passw|secret|sig(?:$|n)|token", re.IGNORECASE)


@dataclass(frozen=True)
class Additions:
    """Headers and query parameters of the deployment's own, which every call to one provider carries."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what of them must never be shown


NO_ADDITIONS = Additions()


@dataclass(frozen=True)
class Endpoint:
    """One provider's server."""

    name: str  # the part of a model's name before the slash
    dialect: str
    base_url: str = field(repr=False)  # may hold credentials
    api_key: str = field(default="", repr=False)
    models: tuple[str, ...] = ()  # empty: any
    timeouts: Timeouts = DEFAULT_TIMEOUTS  # in the place of the deployment's
    model_timeouts: Mapping[str, Timeouts] = field(default_factory=dict)  # by model: in the place of those
    is_background: bool = False  # openai_responses: run in the background, so that a lost stream can be taken up again
    additions: Additions = NO_ADDITIONS
    key_source: str = ""  # the variable that holds its key, in words that can stand behind "the key in"
    needs_reason: bool = True  # an answer that ends without a finish reason is a failure

    @property
    def served_names(self) -> tuple[str, ...]:
        """The full names of its models; one that ends in `*` when it takes any name."""
        return tuple(f"{self.name}/{model}" for model in self.models or ("*",))

    def timeouts_of(self, model: str) -> Timeouts:
        """The deadlines of a model, by its name behind the slash."""
        of_model = self.model_timeouts.get(model, DEFAULT_TIMEOUTS)
        given = {name: s for name, s in msgspec.structs.asdict(of_model).items() if s is not UNSET}
        return msgspec.structs.replace(self.timeouts, **given)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dialect: str
    base_url: str
    api_key_env: str = ""
    models: list[str] = []
    background: bool = False
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    model_timeouts: dict[str, Timeouts] = {}
    end_without_reason: Literal["failed", "completed"] = "failed"


def is_secret_name(name: str) -> bool:
    """Whether the name of a header or parameter says that its value is a secret."""
    return _SECRET_NAME.search(name) is not None


def load_endpoints(settings: Settings, environment: Mapping[str, str]) -> list[Endpoint]:
    """The endpoints in order of preference. Raises SettingsError with every fault of the file."""
    named = _named(settings.providers, environment)
    names = {endpoint.name for endpoint in named}
    return [*named, *(endpoint for endpoint in _well_known(settings) if endpoint.name not in names)]


def key_variables(settings: Settings) -> set[str]:
    """The variables that, by the file, hold keys. What has faults names none."""
    read = (read_entry(table, _Entry, _NOUN) for table in _tables(settings.providers).tables.values())
    entries = [entry for entry in read if isinstance(entry, _Entry)]
    named = {entry.api_key_env for entry in entries} - {""}
    return named.union(*(_variables(entry) for entry in entries))


def provider_file_faults(path: str, environment: Mapping[str, str]) -> list[str]:
    """Every fault of the file that TOKENTAIL_PROVIDERS names."""
    try:
        _named(path, environment)
    except SettingsError as error:
        return list(error.faults)
    return []


def _well_known(s: Settings) -> Iterator[Endpoint]:
    if s.openai_api_key or s.openai_base_url:
        url = s.openai_base_url or "https://api.openai.com/v1"
        source = "OPENAI_API_KEY" if s.openai_api_key else "OPENAI_API_KEY, which is not set"
        yield Endpoint("openai", "openai_chat", url, s.openai_api_key, key_source=source)
    if s.anthropic_api_key:
        yield Endpoint(
            "anthropic", "anthropic", "https://api.anthropic.com", s.anthropic_api_key, key_source="ANTHROPIC_API_KEY"
        )
    if s.gemini_api_key:
        url = "https://generativelanguage.googleapis.com"
        yield Endpoint("gemini", "gemini", url, s.gemini_api_key, key_source="GEMINI_API_KEY")
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


def _named(path: str, environment: Mapping[str, str]) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    file = _tables(path)
    faults = list(file.faults)
    for name, table in file.tables.items():
        entry = read_entry(table, _Entry, _NOUN)
        told = list(_faults(name, entry, environment)) if isinstance(entry, _Entry) else entry
        faults.extend(f"{path}: providers.{name}: {fault}" for fault in told)
        if isinstance(entry, _Entry) and not told:
            endpoints.append(_endpoint(name, entry, environment))
    if faults:
        raise SettingsError(faults)
    return endpoints


def _tables(path: str) -> NamedTables:
    return read_tables(path, "TOKENTAIL_PROVIDERS", "providers")


def _endpoint(name: str, entry: _Entry, environment: Mapping[str, str]) -> Endpoint:
    key = environment.get(entry.api_key_env, "") if entry.api_key_env else ""
    headers, query = ({k: _expanded(v, environment) for k, v in t.items()} for t in (entry.headers, entry.query))
    secrets = {environment[variable] for variable in _variables(entry)}
    secrets |= {value for each in (headers, query) for key_name, value in each.items() if is_secret_name(key_name)}
    additions = Additions(headers, query, tuple(sorted(secrets)))
    models = tuple(entry.models)
    return Endpoint(
        name,
        entry.dialect,
        entry.base_url,
        key,
        models,
        timeouts=entry.timeouts,
        model_timeouts=entry.model_timeouts,
        is_background=entry.background,
        additions=additions,
        key_source=entry.api_key_env or ", ".join(sorted(_variables(entry))) or _NO_KEY,
        needs_reason=entry.end_without_reason == "failed",
    )


def _variables(entry: _Entry) -> set[str]:
    """The variables whose values its headers and parameters hold."""
    return {found for table in (entry.headers, entry.query) for v in table.values() for found in _VARIABLE.findall(v)}


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: environment.get(found[1], ""), text)


def _faults(name: str, entry: _Entry, environment: Mapping[str, str]) -> Iterator[str]:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        yield "the name has lower-case letters, digits, _ and -, and is neither demo nor local"
    if entry.dialect not in HTTP_DIALECTS:
        yield f"dialect: is none of {', '.join(sorted(HTTP_DIALECTS))}"
    if not is_http_url(entry.base_url) or urlsplit(entry.base_url).fragment:
        yield "base_url: is not an http:// or https:// address"
    if entry.api_key_env and not environment.get(entry.api_key_env):
        yield f"api_key_env: {entry.api_key_env} is not set"
    if any(not model or model.endswith("*") for model in entry.models):
        yield "models: are whole names"
    for model in _repeated(entry.models):
        yield f"models: {model} is named twice"
    for model in set(entry.model_timeouts).difference(entry.models) if entry.models else ():
        yield f"model_timeouts: {model} is not among the models"
    if entry.background and entry.dialect != "openai_responses":
        yield "background: only openai_responses has it"
    yield from _variable_faults("headers", entry.headers, environment)
    yield from _variable_faults("query", entry.query, environment)
    yield from _header_faults(entry.headers, environment)


def _variable_faults(option: str, table: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in table.items():
        if not name:
            yield f"{option}: one has no name"
        for variable in _VARIABLE.findall(value):
            if not environment.get(variable):
                yield f"{option}: {variable} is not set"
        if "${" in _VARIABLE.sub("", value):
            yield f"{option}: the value of {name} has a ${{ without the name of a variable and a }}"


def _header_faults(headers: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[str]:
    """No fault shows a value, which may be a secret."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            yield f"headers: {name!r} cannot be a header's name"
        elif name.lower() in _HEADERS_OF_CALLS:
            yield f"headers: {name} is set by the worker, and cannot be set here"
        elif (told := _expanded(value, environment)) and not _HEADER_VALUE.fullmatch(told):
            yield f"headers: {name} has characters that a header cannot carry"
        elif not value:
            yield f"headers: {name} is empty"
    for name in _repeated(name.lower() for name in headers):
        yield f"headers: {name} is named twice"


def _repeated(names: Iterable[str]) -> list[str]:
    seen = list(names)
    return sorted({name for name in seen if seen.count(name) > 1})
