"""The routes of the AI SDK's chat: rows of the one table in `routes.py`."""

from app.http.operations import event_stream, foreign_request, no_body
from app.http.router import Kind, Route
from app.http.tasks import Task

AI_SDK = "/ai-sdk/"  # the beginning of the paths of the AI SDK's chat
UI_CHAT = "/ai-sdk/chat"

SERVE_USE_CHAT = Task(
    "Serve the AI SDK's `useChat`",
    "Point its transport here; its answers become jobs.",
    (
        Route(
            "POST",
            UI_CHAT,
            Kind.STREAM,
            "createChatAnswer",
            "AI SDK's `useChat`: answer the messages of a chat as a stream.",
            {200: event_stream("The chunks of a UI message; `[DONE]` if the job completed.")},
            (400, 404, 409, 413, 415, 422, 429),
            body=foreign_request("A chat's id and messages, and fields of a submission."),
        ),
        Route(
            "GET",
            "/ai-sdk/chat/{chat_id}/stream",
            Kind.STREAM,
            "resumeChatAnswer",
            "AI SDK's `useChat`: the answer of the chat's newest job from its beginning.",
            {
                200: event_stream("The chunks of a UI message; `[DONE]` if the job completed."),
                204: no_body("The chat has no answer here that was not delivered already."),
            },
        ),
        Route(
            "POST",
            "/ai-sdk/chat/{chat_id}/stop",
            Kind.BLOCKING,
            "stopChatAnswer",
            "AI SDK's `useChat`: stop the chat's newest job.",
            {204: no_body("No job of the chat runs.")},
        ),
    ),
)
