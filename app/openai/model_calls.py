"""The handlers of the list of models, in OpenAI's form."""

from typing import Any

from app.calls.key_models import KeyModels
from app.http.openai_errors import error_response
from app.http.request import Request
from app.http.response import Response, json_response
from app.http.router import Handler
from app.openai.submissions import model_meant
from tokentail.errors import InvalidRequest, ModelForbidden


class ModelCalls:
    """Handlers of the list of models."""

    def __init__(self, models: KeyModels) -> None:
        self._models = models

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"listOpenAiModels": self.page, "retrieveOpenAiModel": self.view}

    def page(self, request: Request) -> Response:
        """The models that can be asked for by the name that is listed."""
        names = dict.fromkeys(
            model.name for model in self._models.listed(request.owner) if not model.name.endswith("*")
        )
        return json_response({"object": "list", "data": [_model(name) for name in names]})

    def view(self, request: Request) -> Response:
        """One model, listed or not, if it can be asked for."""
        name = request.parameters["model"]
        try:
            return json_response(_model(model_meant({"model": name}, self._models, request.owner)))
        except (InvalidRequest, ModelForbidden) as error:
            return error_response(404, str(error), "model_not_found", "model")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0].partition("?")[0]}
