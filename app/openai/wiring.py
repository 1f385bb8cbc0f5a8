"""OpenAI's interfaces, wired once a process."""

from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.polls import Polls
from app.calls.submit import JobActions
from app.openai.chat_calls import ChatCalls
from app.openai.model_calls import ModelCalls
from app.openai.responses_calls import ResponsesCalls
from app.openai.submissions import Submissions
from tokentail.redis.repeats import Repeats
from tokentail.redis.store import Store


def openai_calls(
    store: Store, actions: JobActions, views: JobViews, polls: Polls, models: KeyModels
) -> tuple[ChatCalls, ResponsesCalls, ModelCalls]:
    """The calls, on those of our own interface."""
    submissions = Submissions(actions, models, Repeats(store.client))
    return (
        ChatCalls(submissions, views, polls.max_wait_s, polls.clock),
        ResponsesCalls(submissions, views, actions, store, polls.clock),
        ModelCalls(models),
    )
