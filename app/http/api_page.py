"""The browsable page of the API: Swagger UI's own files from the package that ships them, and a page of ours.

It asks no other host for anything, and needs no inline script. Pure but for reading the package's files once.
"""

from functools import cache
from importlib.resources import files

from app.http.paths import DOCS, OPENAPI
from app.http.response import Response

_SHIPPED = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_NAME = DOCS.lstrip("/")  # links are relative, so that the page works below a proxy's path, too
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tokentail API</title>
<link rel="stylesheet" href="{_NAME}/swagger-ui.css">
<link rel="icon" type="image/png" href="{_NAME}/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{_NAME}/swagger-ui-bundle.js"></script>
<script src="{_NAME}/initializer.js"></script>
</body>
</html>
""".encode()
# The validator badge would be fetched from Swagger's own host.
_INITIALIZER = f"""SwaggerUIBundle({{
  url: new URL("{OPENAPI.lstrip("/")}", document.baseURI).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
}});
""".encode()
_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    # Swagger UI sets styles inline; scripts come from here alone.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def api_page_file(name: str) -> Response | None:
    """The page ("") or one of its files; None for any other name."""
    return _read(name) if name in {"", "initializer.js", *_SHIPPED} else None


@cache
def _read(name: str) -> Response:
    if name == "":
        return Response(200, {"Content-Type": "text/html; charset=utf-8", **_HEADERS}, _PAGE)
    if name == "initializer.js":
        return Response(200, {"Content-Type": "text/javascript; charset=utf-8", **_HEADERS}, _INITIALIZER)
    content = files("flask_swagger_ui").joinpath("dist", name).read_bytes()
    return Response(200, {"Content-Type": _SHIPPED[name], **_HEADERS}, content)
