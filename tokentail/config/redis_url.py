"""The URL of a Redis, as settings have it: one server, or the primary that Sentinels name.

Only this file parses such URLs. No message and no `repr` contains a user, a password or a host from a faulty URL.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tokentail.config.address import Address

SENTINEL_PORT = 26379
_SCHEMES = "redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://"
_SEVERAL = re.compile(r"(rediss?)\+sentinel://(?:([^/?#]*)@)?([^/?#@]*)(/[^?#]*)?(?:\?([^#]*))?")
_EXAMPLE = "redis+sentinel://host1,host2,host3/mymaster/0"
_NO_AND_YES = {"no": "redis", "yes": "rediss"}
_RESERVED = "in a user or password write @ as %40, / as %2F, ? as %3F and # as %23"


@dataclass(frozen=True)
class RedisUrl:
    """What a URL says. `server` is a URL that redis-py understands; Sentinels supply the host of theirs."""

    server: str = field(repr=False)
    name: str = ""  # of the primary, as its Sentinels know it
    sentinels: tuple[Address, ...] = ()  # empty for one server
    sentinel_urls: tuple[str, ...] = field(default=(), repr=False)  # of each, as redis-py understands it

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL. Raises ValueError with what is wrong and what to write."""
        scheme = text.partition("://")[0]
        if scheme in {"redis+sentinel", "rediss+sentinel"}:
            return cls(*_sentinels_of(text))
        if scheme not in {"redis", "rediss", "unix"} or "://" not in text:
            raise ValueError(f"does not begin with {_SCHEMES}")
        if scheme != "unix":
            _check_server(text)
        return cls(text)

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
        raise ValueError(f"names several hosts; for a primary that Sentinels name write {_EXAMPLE}")
    _check_database(parts.path.strip("/"))


def _check_database(text: str) -> None:
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"has a database that is not a number: after the host only /0, /1, … may follow; {_RESERVED}")


def _sentinels_of(text: str) -> tuple[str, str, tuple[Address, ...], tuple[str, ...]]:
    match = _SEVERAL.fullmatch(text)
    if match is None or "@" in (match[4] or ""):
        raise ValueError(f"cannot be read; it has the form {_EXAMPLE}; {_RESERVED}")
    scheme, credentials, hosts, path, query = (part or "" for part in match.groups())
    sentinels = tuple(_sentinel(number, host) for number, host in enumerate(hosts.split(","), start=1))
    name, _, database = path.strip("/").partition("/")
    if not name:
        raise ValueError(f"names no primary: after the hosts write the name that the Sentinels have, as in {_EXAMPLE}")
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
    return server, unquote(name), sentinels, urls


def _sentinel(number: int, host: str) -> Address:
    has_port = re.search(r":[^\]:]*$", host)
    with suppress(ValueError):
        if (address := Address.parse(host if has_port else f"{host}:{SENTINEL_PORT}")).port:
            return address
    raise ValueError(
        f"names a Sentinel, number {number} of its list, that is not HOST, HOST:PORT or [IPV6]:PORT; {_RESERVED}"
    )
