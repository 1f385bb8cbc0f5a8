"""The AI SDK's chat, wired once a process."""

from app.ai_sdk.chat_calls import ChatCalls
from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.polls import Polls
from app.calls.submit import JobActions
from app.http.router import Handler
from app.openai.submissions import Submissions
from tokentail.redis.chats import Chats
from tokentail.redis.repeats import Repeats
from tokentail.redis.store import Store


def ai_sdk_handlers(
    store: Store, actions: JobActions, views: JobViews, polls: Polls, models: KeyModels
) -> dict[str, Handler]:
    """The handlers by the names of their routes, on the calls of our own interface."""
    submissions = Submissions(actions, models, Repeats(store.client))
    chat = ChatCalls(
        submissions=submissions,
        views=views,
        actions=actions,
        models=models,
        store=store,
        chats=Chats(store.client),
        clock=polls.clock,
    )
    return {
        "createChatAnswer": chat.create,
        "resumeChatAnswer": chat.resume,
        "stopChatAnswer": chat.stop,
    }
