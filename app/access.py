"""Access: who may call, from where. Pure: it looks at a request's head and says whose it is, or why it is refused.

A request is refused in this order: a foreign Host (a page that rebinds its name to this machine), a cross-site write,
a missing or wrong key. A key sees only its own jobs, so a key's owner name is all that the rest of the house knows.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.answer import Answer, problem
from tokentail.settings import LOOPBACK, Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEYED = "/v1/"  # everything else tells nothing about anybody's jobs

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

_EXPOSED = "ETag, Location, Preference-Applied, Retry-After, Tokentail-Status"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer",
    "Access-Control-Max-Age": "600",
}
# Nothing served here is to be guessed at, framed or followed.
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def owner_name(key: str) -> str:
    """What a bearer key's jobs are listed under; it does not give the key away."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class Access:
    """One deployment's rules. `headers` are always a mapping of lower-case names."""

    def __init__(self, settings: Settings) -> None:
        self._owners = [(key.encode(), owner_name(key)) for key in settings.api_keys]
        self._hosts = {host.lower() for host in settings.allowed_hosts}
        self._is_any_host = "*" in self._hosts or not (settings.is_loopback or self._hosts)
        self._origins = {origin.lower().rstrip("/") for origin in settings.cors_origins}

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        """The answer to a request that may not go on; None if it may."""
        if not self._is_known_host(headers.get("host", "")):
            return problem(
                403, "This server does not answer to that Host name; it may be added with TOKENTAIL_ALLOWED_HOSTS."
            )
        if method not in SAFE_METHODS and self._is_cross_site(headers):
            return problem(
                403, "A page of another site may not write here; its origin may be added with TOKENTAIL_CORS_ORIGINS."
            )
        # A preflight carries no key, and asks for no job.
        # Routers drop leading slashes, so a path is judged without them.
        if f"/{path.lstrip('/')}".startswith(_KEYED) and method != "OPTIONS" and self.owner(headers) is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="tokentail"'}
            return problem(401, "Send an API key of this server as: Authorization: Bearer <key>", challenge)
        return None

    def owner(self, headers: Mapping[str, str]) -> str | None:
        """Whose request it is: the name of the key that it carries; "" where no keys are configured; None is nobody."""
        if not self._owners:
            return ""
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        given = sent.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
        found = None
        for key, name in self._owners:
            # Every key is compared, each in constant time: how long it takes tells nothing about any of them.
            if hmac.compare_digest(key, given):
                found = name
        return found

    def dressed(self, answer: Answer, method: str, headers: Mapping[str, str]) -> Answer:
        """The answer with the headers that every answer carries, and with those that let another origin read it."""
        answer = answer.plus(_ALWAYS)
        if not self._origins:
            return answer
        if "*" in self._origins:
            cors = {"Access-Control-Allow-Origin": "*"}
        elif self._is_allowed_origin(origin := headers.get("origin", "")):
            cors = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        else:
            return answer.plus({"Vary": "Origin"})
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return answer.plus({**cors, **_PREFLIGHT})
        return answer.plus({**cors, "Access-Control-Expose-Headers": _EXPOSED})

    def _is_known_host(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower().strip("[]")
        # Loopback names are always good: no page of another site can make a browser send them to us.
        return self._is_any_host or name in LOOPBACK or name in self._hosts

    def _is_allowed_origin(self, origin: str) -> bool:
        return "*" in self._origins or origin.lower() in self._origins

    def _is_cross_site(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser sent this on behalf of a page that is neither ours nor allowed."""
        origin = headers.get("origin")
        if origin is not None and self._is_allowed_origin(origin):
            return False
        if headers.get("sec-fetch-site", "none").lower() not in {"same-origin", "none"}:
            return True
        return origin is not None and not _is_same_host(origin, headers.get("host", ""))


def _is_same_host(origin: str, host: str) -> bool:
    """Whether an Origin names the server that the request went to. The scheme may differ: a proxy may end TLS."""
    try:
        parts = urlsplit(origin)
        port = str(parts.port or _DEFAULT_PORTS.get(parts.scheme, ""))
    except ValueError:
        return False
    match = _HOST.fullmatch(host)
    if match is None or not parts.hostname:
        return False
    return parts.hostname == match[1].lower().strip("[]") and port == (match[2] or _DEFAULT_PORTS.get(parts.scheme, ""))
