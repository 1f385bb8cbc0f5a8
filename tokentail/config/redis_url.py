"""The URL of a Redis, as settings have it: one server, the primary that Sentinels name, or a Cluster.

Only this file parses such URLs. No message and no `repr` contains a user, a password or a host from a faulty URL.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tokentail.config.address import Address

SENTINEL_PORT = 26379
_NODE_PORT = 6379
_SCHEMES = "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
_SEVERAL = re.compile(r"(rediss?)\+(?:sentinel|cluster)://(?:([^/?#]*)@)?([^/?#@]*)(/[^?#]*)?(?:\?([^#]*))?")
_EXAMPLE = "redis+sentinel://host1,host2,host3/mymaster/0"
_NODES_EXAMPLE = "redis+cluster://host1,host2,host3"
_ANY_NODE = "@node/"
_NO_AND_YES = {"no": "redis", "yes": "rediss"}
_RESERVED = "in a user or password write @ as %40, / as %2F, ? as %3F, # as %23 and [ as %5B"


@dataclass(frozen=True)
class RedisUrl:
    """What a URL says. `server` is a URL that redis-py understands; Sentinels and nodes have hosts of their own."""

    server: str = field(repr=False)
    name: str = ""  # of the primary, as its Sentinels know it
    sentinels: tuple[Address, ...] = ()  # empty for one server
    sentinel_urls: tuple[str, ...] = field(default=(), repr=False)  # of each, as redis-py understands it
    nodes: tuple[Address, ...] = ()  # of a Cluster, which tell of the others; empty for one server

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL. Raises ValueError with what is wrong and what to write."""
        scheme = text.partition("://")[0]
        if scheme in {"redis+sentinel", "rediss+sentinel"}:
            return cls(*_sentinels_of(text))
        if scheme in {"redis+cluster", "rediss+cluster"}:
            server, nodes = _nodes_of(text)
            return cls(server, nodes=nodes)
        if scheme not in {"redis", "rediss", "unix"} or "://" not in text:
            raise ValueError(f"does not begin with {_SCHEMES}")
        if scheme != "unix":
            _check_server(text)
        return cls(text)

    def url_of(self, node: Address) -> str:
        """The URL of one node of the Cluster, as redis-py understands it."""
        return self.server.replace(_ANY_NODE, f"@{node}/", 1)

    def __str__(self) -> str:
        """The primary's name and where its Sentinels are."""
        return f"{self.name} (Sentinels {', '.join(map(str, self.sentinels))})"


def _check_server(text: str) -> None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # which is parsed only when asked for
    except ValueError:
        raise ValueError(f"has no valid host and port, as in redis://host:6379/0; {_RESERVED}") from None
    if "," in (parts.hostname or ""):
        raise ValueError(f"names several hosts; write {_EXAMPLE} or {_NODES_EXAMPLE}")
    _check_database(parts.path.strip("/"))


def _check_database(text: str) -> None:
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"has a database that is not a number: after the host only /0, /1, … may follow; {_RESERVED}")


def _sentinels_of(text: str) -> tuple[str, str, tuple[Address, ...], tuple[str, ...]]:
    match = _SEVERAL.fullmatch(text)
    if match is None or "@" in (match[4] or ""):
        raise ValueError(f"cannot be read; it has the form {_EXAMPLE}; {_RESERVED}")
    scheme, credentials, hosts, path, query = (part or "" for part in match.groups())
    sentinels = _listed(hosts, SENTINEL_PORT, "Sentinel")
    name, _, database = path.strip("/").partition("/")
    if not name:
        raise ValueError(f"names no primary: after the hosts write the name that the Sentinels have, as in {_EXAMPLE}")
    if name.isdecimal() and not database:
        raise ValueError(
            f"names no primary before the database: after the hosts write the name that the Sentinels have, as in "
            f"{_EXAMPLE}; if that is a number, a database follows it, as in /1/0"
        )
    _check_database(database)
    ours, rest = {}, []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key.startswith("sentinel_"):
            ours[key.removeprefix("sentinel_")] = value
        else:
            rest.append((key, value))
    if unknown := [key for key in ours if key not in {"username", "password", "tls"}]:
        raise ValueError(
            f"has the unknown parameter sentinel_{unknown[0]}; "
            "there are sentinel_username, sentinel_password and sentinel_tls"
        )
    tls = ours.get("tls", "yes" if scheme == "rediss" else "no")
    if tls not in _NO_AND_YES:
        raise ValueError("has a sentinel_tls that is neither yes nor no")
    server = f"{scheme}://{credentials}@primary/{database or 0}?{urlencode(rest)}"
    own = f"{quote(ours.get('username', ''), safe='')}:{quote(ours.get('password', ''), safe='')}"
    about_tls = urlencode([(key, value) for key, value in rest if key.startswith("ssl_") and tls == "yes"])
    urls = tuple(f"{_NO_AND_YES[tls]}://{own}@{each}/?{about_tls}" for each in sentinels)
    _check_server(server)
    return server, unquote(name), sentinels, urls


def _nodes_of(text: str) -> tuple[str, tuple[Address, ...]]:
    match = _SEVERAL.fullmatch(text)
    if match is None or "@" in (match[4] or ""):
        raise ValueError(f"cannot be read; it has the form {_NODES_EXAMPLE}; {_RESERVED}")
    scheme, credentials, hosts, path, query = (part or "" for part in match.groups())
    if path.strip("/") not in {"", "0"}:
        raise ValueError(f"names a database, and a Cluster has only number 0; write {_NODES_EXAMPLE}")
    server = f"{scheme}://{credentials}{_ANY_NODE}0?{query}"
    _check_server(server)
    return server, _listed(hosts, _NODE_PORT, "node")


def _listed(hosts: str, port: int, noun: str) -> tuple[Address, ...]:
    """The addresses, each once."""
    return tuple(
        dict.fromkeys(_each(number, host, port, noun) for number, host in enumerate(hosts.split(","), start=1))
    )


def _each(number: int, host: str, port: int, noun: str) -> Address:
    has_port = re.search(r":[^\]:]*$", host)
    with suppress(ValueError):
        if (address := Address.parse(host if has_port else f"{host}:{port}")).port:
            return address
    raise ValueError(
        f"names a {noun}, number {number} of its list, that is not HOST, HOST:PORT or [IPV6]:PORT; {_RESERVED}"
    )
