"""OpenAI's interfaces, wired once a process."""

from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.polls import Polls
from app.calls.submit import JobActions
from app.http.router import Handler
from app.openai.chat_calls import ChatCalls
from app.openai.model_calls import ModelCalls
from app.openai.responses_calls import ResponsesCalls
from app.openai.submissions import Submissions
from tokentail.redis.repeats import Repeats
from tokentail.redis.store import Store


def openai_handlers(
    store: Store, actions: JobActions, views: JobViews, polls: Polls, models: KeyModels
) -> dict[str, Handler]:
    """The handlers by the names of their routes, on the calls of our own interface."""
    submissions = Submissions(actions, models, Repeats(store.client))
    chat = ChatCalls(submissions, views, polls.max_wait_s, polls.clock)
    responses = ResponsesCalls(submissions, views, actions, store, polls.clock)
    listing = ModelCalls(models)
    return {
        "createChatCompletion": chat.create,
        "retrieveChatCompletion": chat.retrieve,
        "listOpenAiModels": listing.page,
        "retrieveOpenAiModel": listing.view,
        "createResponse": responses.create,
        "retrieveResponse": responses.retrieve,
        "deleteResponse": responses.delete,
        "cancelResponse": responses.cancel,
        "listResponseInputItems": responses.input_items,
    }
