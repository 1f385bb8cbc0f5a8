"""Access: finds the owner of a request, or refuses it, from its head alone. Pure.

A request is refused in this order: a foreign Host (a page that rebinds its name to this machine), a cross-site write,
a missing or wrong key. A key sees only its own jobs, so all other code knows the name of the key's owner only.
Instead of a key a browser sends the cookie of its session, and a share link has a token for reading one job.
A cookie counts only for requests of this server's own pages, whichever other origins may send requests. Behind a proxy
that rewrites Host, the settings tell which pages these are.
"""

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from werkzeug.sansio.http import parse_cookie

from app.http.origins import HOST, host_name, is_same_host, spellings
from app.http.parameters import parameters_refusal
from app.http.query import token_of
from app.http.read_tokens import read_token_refusal, user_refusal
from app.http.response import Response, problem
from app.http.router import SAFE_METHODS, Route, Router
from app.http.routes import ROUTER
from app.http.signed_tokens import Signed, TokenSigner
from tokentail.config.key_ring import KeyRing
from tokentail.config.settings import LOOPBACK, Settings
from tokentail.jobs.api_key import ApiKey, Role

NO_KEY = problem(
    401,
    "Send an API key of this server as: Authorization: Bearer <key>. A session or share link may have ended.",
    {"WWW-Authenticate": 'Bearer realm="tokentail"'},
)

_FOREIGN_HOST = problem(
    403,
    "This server does not answer to that Host name; it may be added with TOKENTAIL_ALLOWED_HOSTS. "
    "A proxy has to pass on the Host that the browser sent, or its own name for this server has to be added. "
    "Without API keys it answers to localhost, to the IP addresses of a server that listens beyond this machine, "
    "and to the names that are added.",
)

_FOREIGN_PAGE = problem(
    403,
    "A page of another site may neither write here nor open a WebSocket. If the page is this server's own, the proxy "
    "in front has to pass on Host, with its port, as the browser sent it; or the page's host name may be added with "
    "TOKENTAIL_ALLOWED_HOSTS. The origin of another server's page may be added with TOKENTAIL_CORS_ORIGINS.",
)

_COOKIE = "tokentail_session"

_RATES = (f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset"))
_EXPOSED = ", ".join(
    (
        *("ETag", "Location", "Preference-Applied", "Retry-After"),
        *("Stream-Closed", "Stream-Cursor", "Stream-Next-Offset", "Stream-Up-To-Date"),
        *("Tokentail", "Tokentail-Job", "Tokentail-Status", "x-request-id"),
        *_RATES,
    )
)
# OpenAI's JavaScript SDK sends these from a page.
_OPENAI_HEADERS = (
    *("openai-organization", "openai-project", "x-stainless-arch", "x-stainless-async", "x-stainless-helper-method"),
    *("x-stainless-lang", "x-stainless-os", "x-stainless-package-version", "x-stainless-poll-helper"),
    *("x-stainless-custom-poll-interval", "x-stainless-retry-count", "x-stainless-runtime"),
    *("x-stainless-runtime-version", "x-stainless-timeout"),
)
_PREFLIGHT = {
    "Access-Control-Allow-Headers": ", ".join(
        (
            *("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer"),
            *("Tokentail-On-Disconnect", *_OPENAI_HEADERS),
        )
    ),
    "Access-Control-Max-Age": "600",
}
# By the first, a client tells our server's responses from those of a proxy, a firewall or a login page. By the others,
# no browser may guess the type of a response, show it in a frame, or tell other sites its address.
ALWAYS = {
    "Tokentail": "1",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: an owner of jobs, or a reader who may read one job of that owner."""

    owner: str
    only_job: str | None = None
    ends_at_s: float = field(default=math.inf, compare=False)  # when the session or read token ends, in Unix seconds
    shares: int = 0  # the job's counter of revocations when the read token was made: see app/calls/shares.py
    role: Role = Role.CLIENT
    user: str = ""  # the one user of the owner whose jobs the caller may see; "" for all
    of_keys: int = field(default=0, compare=False)  # the number of the key ring by which the caller was admitted

    @property
    def is_guest(self) -> bool:
        """Whether the caller reads by a link that the job's owner has shared."""
        return self.only_job is not None and not self.user


_ANYBODY = Caller("")


class Access:
    """One deployment's rules. `headers` are always a mapping of lower-case names."""

    def __init__(
        self, settings: Settings, signer: TokenSigner, router: Router = ROUTER, keys: KeyRing | None = None
    ) -> None:
        self._router = router
        self.keys = keys or KeyRing(settings)
        self._preflight = {"Access-Control-Allow-Methods": ", ".join(router.methods), **_PREFLIGHT}
        self.signer = signer
        self._aliases: tuple[int, dict[str, str]] = 0, {}  # by the number of the key ring: each alias with its owner
        self._listed_hosts = {host.lower().strip("[]") for host in settings.allowed_hosts}
        self._hosts = {*self._listed_hosts, settings.host.lower().strip("[]")}
        # A page that rebinds its name to this address has neither a key nor the cookie of another name.
        are_keys_enough = settings.is_keyed and not (settings.is_loopback or settings.allowed_hosts)
        self._is_any_host = "*" in self._hosts or are_keys_enough
        self._is_open = not (settings.is_keyed or settings.is_loopback)
        self._origins = {spelling for origin in settings.cors_origins for spelling in spellings(origin)}

    def admit(
        self, method: str, path: str, headers: Mapping[str, str], query_string: str, *, is_socket: bool = False
    ) -> Caller | Response:
        """The caller; or the response to a request that is refused.

        A WebSocket is judged like a write: its client can cancel, and browsers let every page read what it receives.
        """
        if not self._is_known_host(headers.get("host", "")):
            return _FOREIGN_HOST
        found = self._router.find(path)
        is_write = method not in SAFE_METHODS or is_socket or (found is not None and found.is_writing_get)
        if is_write and self.is_cross_site(headers):
            return _FOREIGN_PAGE
        # A preflight carries no key, and asks for no job.
        needs_key = found.needs_key(method) if found else self._router.is_near_keyed_routes(path)
        if method == "OPTIONS" or not needs_key:
            return _ANYBODY
        caller = self._caller(headers, query_string, is_write=is_write and not is_socket)
        if caller is None:
            return NO_KEY
        route = found.route(method) if found else None
        return (
            read_token_refusal(caller.only_job, method, path, found)
            or self._role_refusal(caller, route)
            or user_refusal(caller.user, route)
            or parameters_refusal(route, query_string)
            or (replace(caller, only_job=found.parameters.get("job_id")) if caller.user and found else caller)
        )

    def owner_of_key(self, headers: Mapping[str, str]) -> str | None:
        """The owner of the request's key; "" where no keys are configured; None when it has no key or a wrong one."""
        if not self.keys.is_keyed:
            return ""
        key = self._key(headers)
        return key.owner if key else None

    def _key(self, headers: Mapping[str, str]) -> ApiKey | None:
        given = _bearer(headers).encode("latin-1", "replace")
        return self.keys.find(given) if given else None

    def _role_refusal(self, caller: Caller, route: Route | None) -> Response | None:
        """The one check of roles: the response to a caller whose role may not make this call. It has no exception.

        Where no keys are configured there is one caller, and it may make every call.
        """
        if not self.keys.is_keyed or route is None or caller.role in route.roles:
            return None
        needed = " or ".join(sorted(route.roles))
        has = f"Yours has the role {caller.role}, which {caller.role.meaning}."
        return problem(403, f"This call takes a key with the role {needed}. {has}")

    def session_cookie(self, session: str, age_s: int, headers: Mapping[str, str]) -> str:
        """The Set-Cookie of a session, which stands for a key. No script can read it, no other site can send it."""
        secure = "; Secure" if _is_https(headers) else ""
        return f"{_COOKIE}={session}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"

    def _caller(self, headers: Mapping[str, str], query_string: str, *, is_write: bool) -> Caller | None:
        if not self.keys.is_keyed:
            return _ANYBODY
        if key := self._key(headers):
            return Caller(key.owner, role=key.role, of_keys=self.keys.number)
        signed: Signed | None = None
        if "authorization" in headers:
            signed = self.signer.users_session_of(_bearer(headers))
        elif token := token_of(query_string):
            signed = self.signer.read_token_of(token) or self.signer.users_session_of(token)
        elif session := parse_cookie(headers.get("cookie")).get(_COOKIE):
            is_foreign = self._is_of_another_page(headers, is_write=is_write)
            signed = None if is_foreign else self.signer.session_of(session)
        owner = self._owner_of_alias(signed.alias) if signed else None
        if signed is None or owner is None:
            return None
        is_whole = signed.job_id is None and not signed.user
        role = self.keys.of_owner(owner).role if is_whole else Role.CLIENT
        return Caller(owner, signed.job_id, signed.ends_at_s, signed.shares, role, signed.user, self.keys.number)

    def _owner_of_alias(self, alias: str) -> str | None:
        """The owner that a signed token names; None for one that has no key any more."""
        self.keys.look()
        number, owners = self._aliases
        if number != self.keys.number:
            number, owners = self.keys.number, {self.signer.alias(owner): owner for owner in self.keys.owners()}
            self._aliases = number, owners
        return owners.get(alias)

    def is_over(self, caller: Caller) -> bool:
        """Whether the caller must be admitted anew: its session or read token has ended, or the keys have changed."""
        keys = self.keys
        if keys.is_keyed:
            keys.look()
        is_of_other_keys = keys.is_keyed and caller.of_keys != keys.number
        return is_of_other_keys or (caller.ends_at_s < math.inf and caller.ends_at_s <= self.signer.clock())

    def allowed_origin(self, headers: Mapping[str, str]) -> str:
        """The origin that may read the answer to a request with these headers; "" where no other origin may."""
        origin = headers.get("origin", "")
        return "*" if "*" in self._origins else origin if self._is_allowed_origin(origin) else ""

    def in_form(self, path: str, answer: Response) -> Response:
        """The response in the form that this path's clients read: a refusal has another one for each interface."""
        return self._router.in_form(path, answer)

    def with_security_headers(self, answer: Response, method: str, headers: Mapping[str, str]) -> Response:
        """The response with the headers that every response has, and with those that let another origin read it."""
        answer = answer.plus(ALWAYS)
        varies = []
        if self.keys.is_keyed and answer.headers.get("Cache-Control", "").startswith("private"):
            varies.append("Authorization, Cookie")  # a browser may be one key's now and another's in a minute
        if self._origins and "*" not in self._origins:
            varies.append("Origin")
        if varies:
            answer = answer.plus({"Vary": ", ".join(varies)})
        if not (allowed_origin := self.allowed_origin(headers)):
            return answer
        cors = {"Access-Control-Allow-Origin": allowed_origin}
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return answer.plus({**cors, **self._preflight})
        return answer.plus({**cors, "Access-Control-Expose-Headers": _EXPOSED})

    def _is_known_host(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower().strip("[]")
        # No page of another site can make a browser send loopback names: they, and what ends in .localhost, are always
        # this machine (RFC 6761, 6.3). The same is true of addresses: no DNS record turns another address into ours.
        is_loopback = name in LOOPBACK or name.endswith(".localhost")
        return self._is_any_host or is_loopback or name in self._hosts or (self._is_open and _is_address(name))

    def _is_allowed_origin(self, origin: str) -> bool:
        return "*" in self._origins or origin.lower() in self._origins

    def is_cross_site(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser sent the request for a page that is neither this server's nor of an allowed origin."""
        origin = headers.get("origin")
        is_allowed = origin is not None and self._is_allowed_origin(origin)
        return not is_allowed and self._is_of_another_page(headers)

    def _is_of_another_page(self, headers: Mapping[str, str], *, is_write: bool = False) -> bool:
        """Whether a browser sent the request for a page that is not this server's.

        Behind a proxy that rewrites Host, a page is this server's by its host or, where it writes, its origin.
        """
        site, origin = headers.get("sec-fetch-site", "none").lower(), headers.get("origin")
        if site not in {"same-origin", "none"}:
            return True
        if origin is None:
            return False
        # Pages of other ports are of the same site, and only the browser can tell them apart.
        is_listed = host_name(origin, any_port=site == "same-origin") in self._listed_hosts
        if is_listed or is_same_host(origin, headers.get("host", "")):
            return False
        return not (is_write and origin.lower() in self._origins)


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else ""


def _is_https(headers: Mapping[str, str]) -> bool:
    """Whether the browser uses TLS, by the proxy's header or by the origin of the page."""
    proxied = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return proxied == "https" or headers.get("origin", "").lower().startswith("https://")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
