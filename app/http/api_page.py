"""The browsable page of the API: Swagger UI's own files from the package that ships them, in a page of ours.

It asks no other host for anything, and needs no inline script. Pure but for reading the package's files once.
"""

from functools import cache
from importlib.resources import files

from app.http.operating_routes import OPENAPI
from app.http.response import Response

_SHIPPED = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
# All links of the page are relative, so that it works below a proxy's path, too.
_PAGE = files("app").joinpath("static", "page", "docs.html")
# The validator badge would be fetched from Swagger's own host.
_INITIALIZER = f"""SwaggerUIBundle({{
  url: new URL("{OPENAPI.lstrip("/")}", document.baseURI).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  defaultModelRendering: "example",
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
        return Response(200, {"Content-Type": "text/html; charset=utf-8", **_HEADERS}, _PAGE.read_bytes())
    if name == "initializer.js":
        return Response(200, {"Content-Type": "text/javascript; charset=utf-8", **_HEADERS}, _INITIALIZER)
    content = files("flask_swagger_ui").joinpath("dist", name).read_bytes()
    return Response(200, {"Content-Type": _SHIPPED[name], **_HEADERS}, content)
