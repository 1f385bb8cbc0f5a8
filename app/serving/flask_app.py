"""The Flask adapter: reads requests, calls the handlers of their routes, and sends the responses.

The order of refusals is the same for every call: Host, cross-site, key, route and method, body. All routes come from
the table in `app/http/routes.py`; this file contains no rule of a single call.
"""

import errno
import logging
import re
import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, g, request
from flask import Response as FlaskResponse
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, LengthRequired, MethodNotAllowed, NotFound, RequestEntityTooLarge

from app.calls.streams import NOT_UPGRADED
from app.http.accept import path_by_accept
from app.http.openai_routes import CHAT, OPENAI_V1, RESPONSES
from app.http.operating_routes import DOCS, OPENAPI
from app.http.request import Request
from app.http.response import PROBLEM, Response, problem, problem_of
from app.http.router import SAFE_METHODS, Kind, Route
from app.http.routes import CALLS
from app.reading.steps import Cut, Head
from app.serving.static_files import STATIC_PATHS, missing_page, static_file
from app.wiring import Calls
from tokentail.errors import TokentailError
from tokentail.telemetry.log_lines import innermost

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from app.reading.hub_thread import HubThread  # it imports gevent, which a process with a loop of its own need not

log = logging.getLogger(__name__)

# Clients look for OpenAI's calls below any address that they were given.
_OPENAI_ENDS = tuple(path.removeprefix(OPENAI_V1) for path in (CHAT, RESPONSES))
_NO_CHUNKS = "The server in front of this application passes no chunked body on. Send the body with a Content-Length."


def create_app(calls: Calls, hub: "HubThread | None" = None) -> Flask:
    """The WSGI application. Any WSGI server can run it; long polls take one of its threads each.

    `hub` takes the steps of polls and streams; None where the server in front serves all routes that have steps.
    """
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = calls.settings.max_body_bytes
    app.url_map.merge_slashes = False  # a redirect would name a host
    _refuse_first(app, calls)
    for route in calls.router.routes:
        _add_route(app, calls, route, hub)
    _add_static_files(app)
    _answer_errors(app, calls)
    app.wsgi_app = _by_accept(app.wsgi_app)  # type: ignore[method-assign, assignment]  # Flask's own place for middleware
    return app


def _by_accept(inner: "WSGIApplication") -> "WSGIApplication":
    """The application, which gives at a job's own URL the form that the client prefers."""

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        method, path, accept = environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), environ.get("HTTP_ACCEPT", "")
        return inner({**environ, "PATH_INFO": path_by_accept(method, path, accept)}, start_response)

    return application


def _refuse_first(app: Flask, calls: Calls) -> None:
    @app.before_request
    def admit() -> FlaskResponse | None:
        headers = lower_headers(request.headers)
        query_string = request.query_string.decode("latin-1")
        admitted = calls.access.admit(request.method, request.path, headers, query_string)
        if isinstance(admitted, Response):
            return to_flask(admitted)
        if revoked := calls.shares.refusal(admitted):
            return to_flask(revoked)
        g.caller = admitted
        if request.method == "OPTIONS" and request.routing_exception is None:
            allow = current_app.make_default_options_response().headers["Allow"]
            return to_flask(Response(204, {"Allow": allow}))
        return None

    @app.after_request
    def add_security_headers(response: FlaskResponse) -> FlaskResponse:
        bare = Response(response.status_code, dict(response.headers))
        if response.content_type == PROBLEM:
            told = {name: value for name, value in bare.headers.items() if name != "Content-Length"}
            bare = calls.access.in_form(request.path, replace(bare, headers=told, body=response.get_data()))
            response.status_code, response.data = bare.status, bare.body
        for name, value in calls.access.with_security_headers(
            bare, request.method, lower_headers(request.headers)
        ).headers.items():
            response.headers[name] = value
        return response


def _add_route(app: Flask, calls: Calls, route: Route, hub: "HubThread | None") -> None:
    handler = calls.handlers[route.name]

    def view(**parameters: str) -> FlaskResponse:
        if request.method == "HEAD" and route.is_writing_get:
            raise MethodNotAllowed([route.method])  # its body would be the only trace of what it wrote
        asked = Request(
            method=request.method,
            owner=g.caller.owner,
            parameters=parameters,
            query_string=request.query_string.decode("latin-1"),
            headers=lower_headers(request.headers),
            body=b"" if request.method in SAFE_METHODS else _body(calls.settings.max_body_bytes),
            role=g.caller.role,
            user=g.caller.user,
            is_guest=g.caller.is_guest,
        )
        if hub is not None and route.kind is Kind.STEPS:
            return to_flask(hub.drive(handler(asked), asked.owner))
        if hub is not None and route.kind is Kind.STREAM:
            return _streamed(hub.others(handler(asked), asked.owner))
        return to_flask(NOT_UPGRADED if route.kind is Kind.SOCKET else handler(asked))

    rule = re.sub(r"\{(\w+)\*\}", r"<path:\1>", route.path).replace("{", "<").replace("}", ">")
    app.add_url_rule(rule, f"{route.method} {route.path}", view, methods=[route.method])


def _body(most_bytes: int) -> bytes:
    """The request's body. Raises RequestEntityTooLarge, LengthRequired."""
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        if not request.environ.get("wsgi.input_terminated"):
            raise LengthRequired(_NO_CHUNKS)
        request.max_content_length = most_bytes + 1  # Werkzeug would end such a body at the limit, and say nothing
    body = request.get_data()
    if len(body) > most_bytes:
        raise RequestEntityTooLarge
    return body


def _add_static_files(app: Flask) -> None:
    def static() -> FlaskResponse:
        asked = request.headers
        return to_flask(static_file(request.path, asked.get("If-None-Match"), asked.get("Accept-Encoding", "")))

    for path in STATIC_PATHS:
        app.add_url_rule(path, "static_file", static)


def _answer_errors(app: Flask, calls: Calls) -> None:
    @app.errorhandler(TokentailError)
    def handle_domain_error(error: TokentailError) -> FlaskResponse:
        return to_flask(problem_of(error) or fault(error))

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> FlaskResponse:
        if isinstance(error, RequestEntityTooLarge):
            return to_flask(too_large(calls.settings.max_body_bytes))
        headers = {}
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        detail = error.description or error.name
        if allowed := headers.get("Allow"):
            detail = f"This path does not take {request.method}. It takes {allowed}."
        if isinstance(error, NotFound):
            if _is_for_a_person(request.path, request.headers.get("Accept", "")):
                return to_flask(missing_page(request.path))
            detail = f"There is nothing at this path; the interface is described at {OPENAPI} and shown at {DOCS}."
            if request.path.endswith(_OPENAI_ENDS):
                detail += f" OpenAI's interfaces begin with {OPENAI_V1}."
        return to_flask(problem(error.code or 500, detail, headers))

    @app.errorhandler(Exception)
    def handle_fault(error: Exception) -> FlaskResponse:
        return to_flask(fault(error))


def _is_for_a_person(path: str, accept: str) -> bool:
    """Whether a browser shows the response: programs do not name text/html, and the paths of calls are theirs."""
    return "text/html" in accept and not path.startswith(CALLS)


def _streamed(parts: Generator[Any, None, None]) -> FlaskResponse:
    """The response to a stream. It keeps one of the server's threads until its end."""
    begun: Head = next(parts)
    response = to_flask(begun.answer)
    if begun.is_whole:
        response.response = _whole(begun.answer.body, parts)
    else:
        response.response = iter(()) if request.method == "HEAD" else _contents(parts)
        del response.headers["Content-Length"]
    response.call_on_close(parts.close)  # also when the server never asks for the first part
    return response


def _whole(body: bytes, parts: Iterator[Any]) -> Iterator[bytes]:
    """The body, and then the steps that come after it, if the client has taken it."""
    yield body
    with suppress(TokentailError):
        for _ in parts:
            pass


def _contents(parts: Iterator[Any]) -> Iterator[bytes]:
    try:
        for part in parts:
            if isinstance(part, Cut):
                # Servers close the connection at once, and take it for the client's doing.
                raise ConnectionResetError(errno.ECONNRESET, "The stream is not whole.")
            yield part.content
    except TokentailError:
        return  # the stream ends; a client that reconnects with its last id receives the error, or the rest


def to_flask(answer: Response) -> FlaskResponse:
    """The response in Flask's form."""
    response = FlaskResponse(answer.body, answer.status)
    del response.headers["Content-Type"]
    response.headers.update(answer.headers)
    return response


def too_large(max_body_bytes: int) -> Response:
    """The response to a body over the limit."""
    return problem(413, f"The body is larger than this server takes: {max_body_bytes} bytes.")


def fault(error: BaseException) -> Response:
    """The response to a fault of this server. The log gets its kind and place; its text may quote a prompt."""
    error = innermost(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-4:]))
    log.error("request.failed", extra={"error": type(error).__name__, "where": where})
    return problem(500, "This is a fault of the server; it is in its log.")


def lower_headers(headers: Headers) -> dict[str, str]:
    """Headers by lower-case name, as handlers need them."""
    return {name.lower(): value for name, value in headers.items()}
