"""The description of the interface: the OpenAPI document, and the page that shows it."""

from app.http.api_page import api_page_file
from app.http.openapi import openapi_document
from app.http.operating_routes import DOCS
from app.http.request import Request
from app.http.response import JSON, Response, problem
from app.http.router import Handler, Router


class Description:
    """Handlers of the calls that describe the others."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"openapi": self.document, "docs": self.page, "docsFile": self.page}

    def document(self, _request: Request) -> Response:
        """The OpenAPI document."""
        return Response(200, {"Content-Type": JSON, "Cache-Control": "no-cache"}, openapi_document(self._router))

    def page(self, request: Request) -> Response:
        """The page, or the file of it that the path names."""
        name = request.parameters.get("name", "")
        return api_page_file(name) or problem(404, f"There is nothing here; the API is shown at {DOCS}.")
