"""The routes of OpenAI's interfaces: rows of the one table in `routes.py`."""

from app.http.operations import foreign_request, openai_body
from app.http.router import Kind, Route
from app.http.tasks import Task

OPENAI = "/openai/"  # the beginning of OpenAI's paths
OPENAI_V1 = "/openai/v1"  # the beginning of those that there are
CHAT = "/openai/v1/chat/completions"
CHAT_COMPLETION = "/openai/v1/chat/completions/{completion_id}"
OPENAI_MODELS = "/openai/v1/models"
RESPONSES = "/openai/v1/responses"
RESPONSE = "/openai/v1/responses/{response_id}"

_REQUEST = foreign_request("OpenAI's own request; docs/openai.md has the fields.")

SPEAK_OPENAI = Task(
    "Speak OpenAI's API",
    "Change the base URL of a program; its answers become jobs.",
    (
        Route(
            "POST",
            CHAT,
            Kind.STREAM,
            "createChatCompletion",
            "OpenAI's Chat Completions: answer a conversation, whole or as a stream.",
            {200: openai_body("The answer, in OpenAI's form; with `stream`, events.")},
            (400, 404, 409, 413, 415, 429),
            body=_REQUEST,
        ),
        Route(
            "GET",
            CHAT_COMPLETION,
            Kind.STREAM,
            "retrieveChatCompletion",
            "OpenAI's Chat Completions: the whole answer of a job that has ended.",
            {200: openai_body("The answer, in OpenAI's form.")},
            (404, 409),
        ),
        Route(
            "GET",
            OPENAI_MODELS,
            Kind.BLOCKING,
            "listOpenAiModels",
            "OpenAI's list of models: those that can be asked for by the name that is listed.",
            {200: openai_body("The models, in OpenAI's form.")},
        ),
        Route(
            "GET",
            "/openai/v1/models/{model*}",
            Kind.BLOCKING,
            "retrieveOpenAiModel",
            "OpenAI's view of one model.",
            {200: openai_body("The model, in OpenAI's form.")},
            (404,),
        ),
        Route(
            "POST",
            RESPONSES,
            Kind.STREAM,
            "createResponse",
            "OpenAI's Responses: make a response, whole, as a stream, or in the background.",
            {200: openai_body("The response, in OpenAI's form; with `stream`, events.")},
            (400, 404, 409, 413, 415, 429),
            body=_REQUEST,
        ),
        Route(
            "GET",
            RESPONSE,
            Kind.STREAM,
            "retrieveResponse",
            "OpenAI's Responses: the response as it is now; with `stream`, its events above `starting_after`.",
            {200: openai_body("The response, in OpenAI's form; with `stream`, events.")},
            (400, 404, 409),
        ),
        Route(
            "DELETE",
            RESPONSE,
            Kind.BLOCKING,
            "deleteResponse",
            "OpenAI's Responses: cancel the job and erase its content.",
            {200: openai_body("The id of the response that was deleted.")},
            (404,),
        ),
        Route(
            "POST",
            "/openai/v1/responses/{response_id}/cancel",
            Kind.STEPS,
            "cancelResponse",
            "OpenAI's Responses: stop the job.",
            {200: openai_body("The response after the cancel.")},
            (404,),
        ),
        Route(
            "GET",
            "/openai/v1/responses/{response_id}/input_items",
            Kind.BLOCKING,
            "listResponseInputItems",
            "OpenAI's Responses: the items of the request.",
            {200: openai_body("The items, in OpenAI's form.")},
            (404,),
        ),
    ),
)
