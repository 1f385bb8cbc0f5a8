"""The browsable page of the API: Swagger UI's own files from the package that ships them, and a page of ours.

It asks no other host for anything, and needs no inline script. Pure but for reading the package's files once.
"""

from functools import cache
from importlib.resources import files

from app.answer import Answer

_SHIPPED = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tokentail API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/initializer.js"></script>
</body>
</html>
"""
# The validator badge would be fetched from Swagger's own host.
_INITIALIZER = b"""SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    # Swagger UI sets styles inline; scripts come from here alone.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@cache
def api_page_file(name: str) -> Answer | None:
    """The page ("") or one of its files; None for any other name."""
    if name == "":
        return Answer(200, {"Content-Type": "text/html; charset=utf-8", **_HEADERS}, _PAGE)
    if name == "initializer.js":
        return Answer(200, {"Content-Type": "text/javascript; charset=utf-8", **_HEADERS}, _INITIALIZER)
    if name not in _SHIPPED:
        return None
    content = files("flask_swagger_ui").joinpath("dist", name).read_bytes()
    return Answer(200, {"Content-Type": _SHIPPED[name], **_HEADERS}, content)
