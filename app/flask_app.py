"""The Flask adapter: it reads requests, asks the calls, and sends their answers. No rule of the domain lives here.

The order of refusals is the same for every call: Host, cross-site, key, route and method, content type, body.
"""

import logging
import time
import traceback

from flask import Flask, Response, current_app, g, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from app.answer import JSON, Answer, problem, problem_of
from app.api_page import api_page_file
from app.calls import Calls
from app.openapi import openapi_document
from app.query import query_of, raw_stream_request
from app.static_files import STATIC_PATHS, static_file
from app.streams import Head, Stream, event_stream, parse_raw_stream_place, raw_stream
from tokentail.errors import TokentailError

log = logging.getLogger(__name__)


def create_app(calls: Calls) -> Flask:
    """The WSGI application. Any WSGI server can run it; long polls take one of its threads each."""
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = calls.settings.max_body_bytes
    app.url_map.merge_slashes = False  # a redirect would name a host
    _refuse_first(app, calls)
    _route_jobs(app, calls)
    _route_system(app, calls)
    _tell_errors(app, calls)
    return app


def _refuse_first(app: Flask, calls: Calls) -> None:
    @app.before_request
    def admit() -> Response | None:
        headers = lower_headers(request.headers)
        query_string = request.query_string.decode("latin-1")
        admitted = calls.access.admit(request.method, request.path, headers, query_string)
        if isinstance(admitted, Answer):
            return to_response(admitted)
        g.owner = admitted.owner
        if request.method == "OPTIONS" and request.routing_exception is None:
            allow = current_app.make_default_options_response().headers["Allow"]
            return to_response(Answer(204, {"Allow": allow}))
        return None

    @app.after_request
    def dress(response: Response) -> Response:
        bare = Answer(response.status_code, dict(response.headers))
        for name, value in calls.access.dressed(bare, request.method, lower_headers(request.headers)).headers.items():
            response.headers[name] = value
        return response


def _route_jobs(app: Flask, calls: Calls) -> None:
    polls, reads, writes, drive = calls.polls, calls.reads, calls.writes, calls.follower.drive

    @app.post("/v1/jobs")
    def submit() -> Response:
        if request.mimetype != JSON:
            return to_response(problem(415, f"Send the request as {JSON}.", {"Accept-Post": JSON}))
        headers = lower_headers(request.headers)
        job_id = writes.accept(g.owner, headers, request.get_data())
        text = drive(writes.wait_for_result(g.owner, job_id, headers))
        return to_response(writes.accepted(g.owner, job_id, headers, text))

    @app.get("/v1/jobs")
    def page() -> Response:
        return to_response(reads.page(g.owner, _query()))

    @app.get("/v1/jobs/<job_id>")
    def view(job_id: str) -> Response:
        return to_response(reads.view(g.owner, job_id))

    @app.get("/v1/jobs/<job_id>/tokens")
    def tokens(job_id: str) -> Response:
        return to_response(drive(polls.tokens(g.owner, job_id, _query())))

    @app.get("/v1/jobs/<job_id>/events")
    def events(job_id: str) -> Response:
        return to_response(drive(polls.events(g.owner, job_id, _query())))

    @app.get("/v1/poll")
    def poll_any() -> Response:
        return to_response(drive(polls.any_of(g.owner, request.query_string.decode("latin-1"))))

    @app.get("/v1/jobs/<job_id>/text")
    def text(job_id: str) -> Response:
        return to_response(reads.text(g.owner, job_id, request.headers.get("If-None-Match")))

    @app.get("/v1/jobs/<job_id>/stream")
    def stream(job_id: str) -> Response:
        headers = lower_headers(request.headers)
        return _streamed(calls, event_stream(g.owner, job_id, _query(), headers, time.monotonic))

    @app.get("/v1/jobs/<job_id>/ws")
    def socket(job_id: str) -> Response:
        # Whoever comes here did not ask to upgrade, or this server knows no WebSockets.
        return to_response(problem(400, "This path is a WebSocket. Without one, poll /tokens or read /stream."))

    @app.get("/stream")
    def raw() -> Response:
        if request.method == "HEAD":
            raise MethodNotAllowed(["GET"])  # it would make a job, and show nothing of it
        if last_event_id := request.headers.get("Last-Event-ID"):
            job_id, cursor = parse_raw_stream_place(last_event_id)
        else:
            headers, cursor = lower_headers(request.headers), None
            job_id = writes.accept_parsed(g.owner, headers, raw_stream_request(_query()))
        return _streamed(calls, raw_stream(g.owner, job_id, cursor, time.monotonic))

    @app.post("/v1/jobs/<job_id>/share")
    def share(job_id: str) -> Response:
        return to_response(calls.sessions.share(g.owner, job_id))

    @app.post("/v1/jobs/<job_id>/cancel")
    def cancel(job_id: str) -> Response:
        return to_response(writes.cancel(g.owner, job_id))

    @app.delete("/v1/jobs/<job_id>")
    def delete(job_id: str) -> Response:
        return to_response(writes.delete(g.owner, job_id))


def _route_system(app: Flask, calls: Calls) -> None:
    system = calls.system

    @app.post("/v1/session")
    def open_session() -> Response:
        return to_response(calls.sessions.open(lower_headers(request.headers)))

    @app.delete("/v1/session")
    def close_session() -> Response:
        return to_response(calls.sessions.close(lower_headers(request.headers)))

    @app.get("/healthz")
    def health() -> Response:
        return to_response(system.health())

    @app.get("/readyz")
    def ready() -> Response:
        return to_response(system.ready())

    @app.get("/v1/overview")
    def overview() -> Response:
        return to_response(system.overview())

    @app.get("/v1/models")
    def models() -> Response:
        return to_response(system.models())

    @app.get("/openapi.json")
    def openapi() -> Response:
        return to_response(Answer(200, {"Content-Type": JSON, "Cache-Control": "no-cache"}, openapi_document()))

    @app.get("/docs")
    @app.get("/docs/<name>")
    def api_page(name: str = "") -> Response:
        return to_response(api_page_file(name) or problem(404, "There is nothing here; the API is shown at /docs."))

    def static() -> Response:
        asked = request.headers
        return to_response(static_file(request.path, asked.get("If-None-Match"), asked.get("Accept-Encoding", "")))

    for path in STATIC_PATHS:
        app.add_url_rule(path, "static_file", static)


def _tell_errors(app: Flask, calls: Calls) -> None:
    @app.errorhandler(TokentailError)
    def handle_domain_error(error: TokentailError) -> Response:
        return to_response(problem_of(error) or fault(error))

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> Response:
        if isinstance(error, RequestEntityTooLarge):
            return to_response(too_large(calls.settings.max_body_bytes))
        headers = {}
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        detail = error.description or error.name
        if isinstance(error, NotFound):
            detail = "There is nothing at this path; the interface is described at /openapi.json and shown at /docs."
        return to_response(problem(error.code or 500, detail, headers))

    @app.errorhandler(Exception)
    def handle_fault(error: Exception) -> Response:
        return to_response(fault(error))


def _streamed(calls: Calls, steps: Stream) -> Response:
    """A stream takes one of the server's threads; the read plane's take none."""
    parts = calls.follower.others(steps)
    begun: Head = next(parts)
    response = to_response(begun.answer)
    if begun.answer.status == 200:
        response.response = iter(()) if request.method == "HEAD" else (part.content for part in parts)
        del response.headers["Content-Length"]
    return response


def to_response(answer: Answer) -> Response:
    """Flask's form of an answer."""
    response = Response(answer.body, answer.status)
    del response.headers["Content-Type"]
    response.headers.update(answer.headers)
    return response


def too_large(max_body_bytes: int) -> Answer:
    """The answer to a body over the limit."""
    return problem(413, f"The body is larger than this server takes: {max_body_bytes} bytes.")


def fault(error: BaseException) -> Answer:
    """The answer to an error of ours. The log gets kind and place, not its text: that may quote a client's words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-4:]))
    log.error("request.failed", extra={"error": type(error).__name__, "where": where})
    return problem(500, "This is a fault of the server; it is in its log.")


def lower_headers(headers: Headers) -> dict[str, str]:
    """Headers by lower-case name, as the calls take them."""
    return {name.lower(): value for name, value in headers.items()}


def _query() -> dict[str, str]:
    query = query_of(request.query_string.decode("latin-1"))
    if request.method == "HEAD":
        query.pop("wait", None)  # there is no body to wait for
    return query
