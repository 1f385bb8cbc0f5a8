"""The static files: the page and the JavaScript client, as they lie in the package. Pure but for reading them once.

A fixed table maps paths to files, so no path of a client ever reaches the file system. Nothing is built, and
nothing comes from another host: the policy that every file carries lets a browser load from here alone. Text is
compressed once, for clients that accept gzip.
"""

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from werkzeug.http import parse_accept_header

from app.http.response import Response, is_match

_STATIC = files("app") / "static"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ts": "application/typescript; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked about each time: a new version is seen at once
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        # No string ever becomes markup or script, whatever our own code does.
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
}


def _names_in(folder: str) -> list[str]:
    return [f"{folder}/{entry.name}" for entry in _STATIC.joinpath(*folder.split("/")).iterdir() if entry.is_file()]


# A path of ours: a file below app/static/. What the page consists of is all that lies beside it.
_FILES = {
    "/": "page/index.html",
    "/operator": "page/operator.html",
    "/tokentail.js": "client/tokentail.js",
    "/tokentail.d.ts": "client/tokentail.d.ts",
    **{f"/{name}": name for name in (*_names_in("page"), *_names_in("page/vendor")) if not name.endswith(".html")},
}

STATIC_PATHS = frozenset(_FILES)


def static_file(path: str, if_none_match: str | None, accept_encoding: str = "") -> Response:
    """The file at one of STATIC_PATHS, or 304 to a client that has it already. Raises KeyError for any other path."""
    found = _read(_FILES[path], is_packed=parse_accept_header(accept_encoding).quality("gzip") > 0)
    if is_match(if_none_match, found.headers["ETag"]):
        return Response(304, {name: value for name, value in found.headers.items() if name != "Content-Type"})
    return found


def missing_page(path: str) -> Response:
    """The page for a path at which there is nothing. Its links are relative, so that it works below a proxy's path."""
    found = _read("page/missing.html", is_packed=False)
    root = "/".join([".."] * (path.count("/") - 1)) or "."
    headers = {name: value for name, value in found.headers.items() if name not in {"ETag", "Vary"}}
    return Response(404, {**headers, "Vary": "Accept"}, found.body.replace(b"ROOT", root.encode()))


@cache
def _read(name: str, *, is_packed: bool) -> Response:
    content = _STATIC.joinpath(*name.split("/")).read_bytes()
    headers = {"Content-Type": _TYPES[name.rpartition(".")[2]], "Vary": "Accept-Encoding", **_HEADERS}
    if is_packed and not name.endswith((".png", ".ico", ".woff2")):
        content = gzip.compress(content, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(200, {"ETag": f'"{hashlib.sha256(content).hexdigest()[:24]}"', **headers}, content)
