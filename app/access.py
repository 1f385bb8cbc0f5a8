"""Access: who may call, from where. Pure: it looks at a request's head and says whose it is, or why it is refused.

A request is refused in this order: a foreign Host (a page that rebinds its name to this machine), a cross-site write,
a missing or wrong key. A key sees only its own jobs, so a key's owner name is all that the rest of the house knows.
In a key's place a browser sends the cookie of its session, and a share link a token with which one job can be read.
A cookie speaks for our own pages alone, wherever else calls may come from.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.answer import Answer, problem
from app.seal import Seal
from tokentail.settings import LOOPBACK, Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEYED = ("/v1/", "/stream")  # everything else tells nothing about anybody's jobs
SUBMITTING_GET = "/stream"  # a GET that makes a job, so judged like a POST
SESSION = "/v1/session"  # where a key is traded for a cookie, and judges keys itself
SESSION_S = 7 * 24 * 3600
NO_KEY = problem(
    401,
    "Send an API key of this server as: Authorization: Bearer <key>",
    {"WWW-Authenticate": 'Bearer realm="tokentail"'},
)

_COOKIE = "tokentail_session"
_SESSION = re.compile(rf"(?:^|;)\s*{_COOKIE}=([\w.-]+)\s*(?:;|$)", re.ASCII)
_TOKEN = re.compile(r"(?:^|&)token=([\w.-]+)(?:&|$)", re.ASCII)

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

_EXPOSED = "ETag, Location, Preference-Applied, Retry-After, Tokentail-Job, Tokentail-Status"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer"
    ),
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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an owner of jobs; or somebody who may read one job of theirs."""

    owner: str
    only_job: str | None = None


_ANYBODY = Caller("")


class Access:
    """One deployment's rules. `headers` are always a mapping of lower-case names."""

    def __init__(self, settings: Settings, seal: Seal) -> None:
        self.seal = seal
        self._owners = [(key.encode(), owner_name(key)) for key in settings.api_keys]
        self._sealed = {seal.alias(name): name for _, name in self._owners}
        self._hosts = {host.lower() for host in settings.allowed_hosts}
        self._is_any_host = "*" in self._hosts or not (settings.is_loopback or self._hosts)
        self._origins = {origin.lower().rstrip("/") for origin in settings.cors_origins}

    def admit(
        self, method: str, path: str, headers: Mapping[str, str], query_string: str, *, is_socket: bool = False
    ) -> Caller | Answer:
        """Who calls; or the answer to a request that may not go on.

        A WebSocket is judged like a write: one can cancel with it, and browsers let every page read its answers.
        """
        if not self._is_known_host(headers.get("host", "")):
            return problem(
                403, "This server does not answer to that Host name; it may be added with TOKENTAIL_ALLOWED_HOSTS."
            )
        # Routers drop leading slashes, so a path is judged without them.
        path = f"/{path.lstrip('/')}"
        is_write = method not in SAFE_METHODS or path == SUBMITTING_GET or is_socket
        if is_write and self.is_cross_site(headers):
            return problem(
                403,
                "A page of another site may neither write here nor open a WebSocket; "
                "its origin may be added with TOKENTAIL_CORS_ORIGINS.",
            )
        # A preflight carries no key, and asks for no job.
        if not path.startswith(_KEYED) or path == SESSION or method == "OPTIONS":
            return _ANYBODY
        caller = self._caller(path, headers, query_string)
        if caller is None:
            return NO_KEY
        if caller.only_job is not None and (method not in {"GET", "HEAD"} or not _is_of_job(path, caller.only_job)):
            return problem(403, "This read token is for reading one job.")
        return caller

    def owner_of_key(self, headers: Mapping[str, str]) -> str | None:
        """The name of the key that a request carries; "" where no keys are configured; None for none or a wrong one."""
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

    def session_cookie(self, owner: str, headers: Mapping[str, str], *, is_over: bool = False) -> str:
        """The Set-Cookie with which a browser stands for its key; script cannot read it, other sites cannot send it."""
        value, age_s = ("", 0) if is_over else (self.seal.session(owner, SESSION_S), SESSION_S)
        secure = "; Secure" if _is_https(headers) else ""
        return f"{_COOKIE}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"

    def _caller(self, path: str, headers: Mapping[str, str], query_string: str) -> Caller | None:
        if not self._owners:
            return _ANYBODY
        if "authorization" in headers:
            owner = self.owner_of_key(headers)
            return None if owner is None else Caller(owner)
        if token := _TOKEN.search(query_string):
            alias, job_id = self.seal.reader_of_token(token[1]) or ("", "")
            owner = self._sealed.get(alias)
            return None if owner is None else Caller(owner, job_id)
        session = _SESSION.search(headers.get("cookie", ""))
        if session and not self._is_of_another_page(headers):
            owner = self._sealed.get(self.seal.alias_of_session(session[1]) or "")
            return None if owner is None else Caller(owner)
        return None

    def dressed(self, answer: Answer, method: str, headers: Mapping[str, str]) -> Answer:
        """The answer with the headers that every answer carries, and with those that let another origin read it."""
        answer = answer.plus(_ALWAYS)
        varies = []
        if self._owners and answer.headers.get("Cache-Control", "").startswith("private"):
            varies.append("Authorization, Cookie")  # a browser may be one key's now and another's in a minute
        if self._origins and "*" not in self._origins:
            varies.append("Origin")
        if varies:
            answer = answer.plus({"Vary": ", ".join(varies)})
        if not self._origins:
            return answer
        if "*" in self._origins:
            cors = {"Access-Control-Allow-Origin": "*"}
        elif self._is_allowed_origin(origin := headers.get("origin", "")):
            cors = {"Access-Control-Allow-Origin": origin}
        else:
            return answer
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

    def is_cross_site(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser sent this on behalf of a page that is neither ours nor allowed."""
        origin = headers.get("origin")
        is_allowed = origin is not None and self._is_allowed_origin(origin)
        return not is_allowed and self._is_of_another_page(headers)

    def _is_of_another_page(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser sent this on behalf of a page that is not ours."""
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "none").lower() not in {"same-origin", "none"}:
            return True
        return origin is not None and not _is_same_host(origin, headers.get("host", ""))


def _is_https(headers: Mapping[str, str]) -> bool:
    """Whether the browser speaks TLS to a proxy, by what the proxy says, or by the page that asks."""
    proxied = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return proxied == "https" or headers.get("origin", "").lower().startswith("https://")


def _is_of_job(path: str, job_id: str) -> bool:
    here = f"/v1/jobs/{job_id}"
    return path == here or path.startswith(f"{here}/")


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
