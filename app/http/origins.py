"""Origins: the scheme, host and port of a page as browsers send them, compared with a Host and a setting. Pure."""

import re
from urllib.parse import urlsplit

from tokentail.config.settings import LOOPBACK

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_same_host(origin: str, host: str) -> bool:
    """Whether an Origin names the server that the request went to. The scheme may differ: a proxy may end TLS."""
    try:
        parts = urlsplit(origin)
        port = str(parts.port or _DEFAULT_PORTS.get(parts.scheme, ""))
    except ValueError:
        return False
    match = HOST.fullmatch(host)
    if match is None or not parts.hostname:
        return False
    return parts.hostname == match[1].lower().strip("[]") and port == (match[2] or _DEFAULT_PORTS.get(parts.scheme, ""))


def host_name(origin: str, *, any_port: bool) -> str:
    """The name of the host in an Origin, in lower case; "" where it has none, or a port though it should not."""
    try:
        parts = urlsplit(origin)
        return parts.hostname or "" if any_port or parts.port is None else ""
    except ValueError:
        return ""


def spellings(origin: str) -> set[str]:
    """How browsers may write an allowed origin: one of this machine by each of its names, any other as it is."""
    origin = origin.lower().rstrip("/")
    scheme, _, host = origin.partition("://")
    match = HOST.fullmatch(host)
    if match is None or match[1].strip("[]") not in LOOPBACK:
        return {origin}
    names = (f"[{name}]" if ":" in name else name for name in LOOPBACK)
    return {f"{scheme}://{name}:{match[2]}" if match[2] else f"{scheme}://{name}" for name in names}
