"""The router: finds the route of a request. Every rule that depends on a path is a field of the route. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.http.request import Request
from app.http.response import Response
from app.http.schemas import Schema
from tokentail.jobs.api_key import Role

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PARAMETER = re.compile(r"\{(\w+\*?)\}")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Kind(Enum):
    """What a route's handler returns for a request. It decides where the handler may run."""

    PLAIN = "a Response, at once: it neither waits nor reads Redis"
    BLOCKING = "a Response, and it may block its thread"
    STEPS = "steps that end in a Response"
    STREAM = "steps that send a stream"
    SOCKET = "a Followed, which a WebSocket sends"


class Auth(Enum):
    """Which requests a route admits where API keys are configured."""

    OPEN = "every request"
    KEY = "requests with a key, a session or, for reading one job, a read token"
    HANDLER = "every request, because the handler itself judges the key"


Handler = Callable[[Request], Any]

CLIENTS = frozenset({Role.CLIENT})
OPERATORS = frozenset({Role.OPERATOR})


@dataclass(frozen=True, eq=False)
class Route:
    """One call: a method and a path, and all that depends on them."""

    method: str  # GET's route serves HEAD, too, unless it writes
    path: str  # a template: each {name} stands for one segment, {name*} for one or more
    kind: Kind
    name: str  # of the call; its handler is bound to it, and generated clients call it so
    # The call in the OpenAPI document, which adds the refusals that every call has.
    summary: str = ""  # "": the document does not have this call
    responses: Mapping[int, Schema] = field(default_factory=dict)  # of success
    problems: tuple[int, ...] = ()
    parameters: tuple[Schema, ...] = ()  # of the query and the headers
    body: Schema = field(default_factory=dict)
    auth: Auth = Auth.KEY
    roles: frozenset[Role] = CLIENTS  # of the keys that may make the call
    is_for_owner: bool = False  # no read token is enough for it
    is_writing_get: bool = False  # a GET that changes something, so that foreign pages may not send it


@dataclass(frozen=True, slots=True)
class Found:
    """The routes of one path."""

    path: str  # the template
    routes: Mapping[str, Route]  # by method
    parameters: Mapping[str, str]

    def route(self, method: str) -> Route | None:
        """The route that serves this method; None when none does."""
        route = self.routes.get("GET" if method == "HEAD" else method)
        return None if method == "HEAD" and route is not None and route.is_writing_get else route

    def needs_key(self, method: str) -> bool:
        """Whether a request with this method needs a key; one that no route serves does if any route here does."""
        if (route := self.route(method)) is not None:
            return route.auth is Auth.KEY
        return any(each.auth is Auth.KEY for each in self.routes.values())

    @property
    def is_writing_get(self) -> bool:
        """Whether a GET of this path changes something."""
        get = self.routes.get("GET")
        return get is not None and get.is_writing_get


Form = Callable[[Response], Response]


class Router:
    """Finds routes by path. Like WSGI's routers it ignores leading slashes beyond the first."""

    def __init__(self, routes: Iterable[Route], forms: Mapping[str, Form] | None = None) -> None:
        """`forms` gives, by the beginning of a path, the form that refusals have there."""
        self.routes = tuple(routes)
        self._forms = tuple((forms or {}).items())
        by_path: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            by_path.setdefault(route.path, {})[route.method] = route
        self.by_path: Mapping[str, Mapping[str, Route]] = by_path
        self._plain = {path: Found(path, methods, {}) for path, methods in by_path.items() if "{" not in path}
        self._templates = [(_pattern(path), path) for path in by_path if "{" in path]
        self._keyed_prefixes = tuple({_prefix(route.path) for route in self.routes if route.auth is Auth.KEY})
        served = {route.method for route in self.routes} | {"HEAD"}
        self.methods = tuple(method for method in _METHODS if method in served)

    def find(self, path: str) -> Found | None:
        """The routes of this path; None when it has none."""
        if path.startswith("//"):
            path = f"/{path.lstrip('/')}"
        if (plain := self._plain.get(path)) is not None:
            return plain
        for pattern, template in self._templates:
            if match := pattern.fullmatch(path):
                return Found(template, self.by_path[template], match.groupdict())
        return None

    def in_form(self, path: str, response: Response) -> Response:
        """The response in the form that this path's clients read."""
        for prefix, form in self._forms:
            if path.startswith(prefix):
                return form(response)
        return response

    def is_near_keyed_routes(self, path: str) -> bool:
        """Whether a path without a route begins like one that needs a key, so that it is refused without a key, too."""
        return f"/{path.lstrip('/')}".startswith(self._keyed_prefixes)


def _pattern(path: str) -> re.Pattern[str]:
    """What a path's template matches."""
    literals_and_names = _PARAMETER.split(path)
    parts = [
        _parameter(part) if is_name else re.escape(part)
        for part, is_name in zip(literals_and_names, (False, True) * len(literals_and_names), strict=False)
    ]
    return re.compile("".join(parts))


def _parameter(name: str) -> str:
    return f"(?P<{name[:-1]}>.+)" if name.endswith("*") else f"(?P<{name}>[^/]+)"


def _prefix(path: str) -> str:
    """The first segment of a path with the slash behind it; the whole path when it has one segment."""
    return path[: path.find("/", 1) + 1] or path
