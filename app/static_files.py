"""The static files: the page and the JavaScript client, as they lie in the package. Pure but for reading them once.

A fixed table says which path is which file, so no path of a client ever reaches the file system. Nothing is built, and
nothing comes from another host: the policy that every file carries lets a browser load from here alone.
"""

import hashlib
from functools import cache
from importlib.resources import files

from app.answer import Answer, is_match

# A path of ours: a file below app/static/.
_FILES = {
    "/tokentail.js": "client/tokentail.js",
    "/tokentail.d.ts": "client/tokentail.d.ts",
}
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
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}

STATIC_PATHS = frozenset(_FILES)


def static_file(path: str, if_none_match: str | None) -> Answer:
    """The file at one of STATIC_PATHS, or 304 to who has it. Raises KeyError for any other path."""
    found = _read(_FILES[path])
    if is_match(if_none_match, found.headers["ETag"]):
        return Answer(304, {name: value for name, value in found.headers.items() if name != "Content-Type"})
    return found


@cache
def _read(name: str) -> Answer:
    content = files("app").joinpath("static", *name.split("/")).read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    return Answer(200, {"Content-Type": _TYPES[name.rpartition(".")[2]], "ETag": etag, **_HEADERS}, content)
