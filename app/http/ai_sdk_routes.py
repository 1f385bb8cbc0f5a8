"""The routes of the AI SDK's chat: rows of the one table in `routes.py`."""

from app.http import operations as op
from app.http import paths
from app.http.router import Kind, Route

AI_SDK_ROUTES = (
    Route(
        "POST",
        paths.UI_CHAT,
        Kind.STREAM,
        "createChatAnswer",
        "AI SDK's `useChat`: answer the messages of a chat as a stream.",
        {200: op.event_stream("The chunks of a UI message; `[DONE]` if the job completed.")},
        (400, 404, 409, 413, 415, 422, 429),
        body=op.AI_SDK_REQUEST,
    ),
    Route(
        "GET",
        paths.UI_CHAT_STREAM,
        Kind.STREAM,
        "resumeChatAnswer",
        "AI SDK's `useChat`: the answer of the chat's newest job from its beginning.",
        {
            200: op.event_stream("The chunks of a UI message; `[DONE]` if the job completed."),
            204: op.no_body("The chat has no answer here that was not delivered already."),
        },
    ),
    Route(
        "POST",
        paths.UI_CHAT_STOP,
        Kind.BLOCKING,
        "stopChatAnswer",
        "AI SDK's `useChat`: stop the chat's newest job.",
        {204: op.no_body("No job of the chat runs.")},
    ),
)
