"""The AI SDK's chat, wired once a process."""

from app.ai_sdk.chat_calls import ChatCalls
from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.polls import Polls
from app.calls.submit import JobActions
from app.openai.submissions import Submissions
from tokentail.redis.chats import Chats
from tokentail.redis.repeats import Repeats
from tokentail.redis.store import Store


def ai_sdk_calls(store: Store, actions: JobActions, views: JobViews, polls: Polls, models: KeyModels) -> ChatCalls:
    """The calls, on those of our own interface."""
    return ChatCalls(
        submissions=Submissions(actions, models, Repeats(store.client)),
        views=views,
        actions=actions,
        models=models,
        store=store,
        chats=Chats(store.client),
        clock=polls.clock,
    )
