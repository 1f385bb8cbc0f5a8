"""The handlers of the AI SDK's chat."""

from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from app.ai_sdk.chat_request import ChatRequest, chat_request, continued_by
from app.ai_sdk.ui_stream import UiStream
from app.calls.jobs import JobViews
from app.calls.key_models import KeyModels
from app.calls.submit import JobActions
from app.http.ai_sdk_routes import UI_CHAT
from app.http.request import Request
from app.http.response import EVENT_STREAM, OPEN, Response, media_type_refusal
from app.http.router import Handler
from app.openai.following import Clock, Delivery, Followed, stream
from app.openai.submissions import Submissions, Submitted, model_meant
from app.reading.steps import Head, RunBlocking, Stream
from tokentail.errors import JobGone, JobNotFound, StoreFull, StoreUnavailable
from tokentail.redis.chats import Chats, chat_of
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.store import Store

_STREAM = {**EVENT_STREAM, "x-vercel-ai-ui-message-stream": "v1"}
_NOTHING = Response(204, {"Cache-Control": OPEN})


class ChatCalls:
    """Handlers of `useChat`: a message, its answer anew after a reload, and the stop button."""

    def __init__(
        self,
        *,
        submissions: Submissions,
        views: JobViews,
        actions: JobActions,
        models: KeyModels,
        store: Store,
        chats: Chats,
        clock: Clock,
    ) -> None:
        self._submissions = submissions
        self._views = views
        self._actions = actions
        self._models = models
        self._store = store
        self._chats = chats
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"createChatAnswer": self.create, "resumeChatAnswer": self.resume, "stopChatAnswer": self.stop}

    def create(self, request: Request) -> Stream:
        """Answer a chat's messages as a stream; the answer goes on when its reader leaves."""
        if refusal := media_type_refusal(request.headers):
            yield Head(refusal)
            return
        made: Submitted = yield RunBlocking(lambda: self._submit(request))
        asked: ChatRequest = made.asked
        followed = Followed(request.owner, made.job.id, made.allowance, form=_problem)
        message_id, _ = continued_by({"origin": asked.request.origin})
        chat = chat_of(request.owner, request.user, asked.chat_id)
        answer = self._answer(followed, UiStream(made.job.id, message_id), chat)
        yield from self._submissions.answered(made, answer)

    def resume(self, request: Request) -> Stream:
        """The answer of the chat's newest job from its beginning, unless all of it was delivered."""
        chat = _chat(request)
        job_id: str | None = yield RunBlocking(lambda: self._newest(request, chat))
        if job_id is None:
            yield Head(_NOTHING)
            return
        fold: UiStream = yield RunBlocking(lambda: self._whole_message(job_id))
        yield from self._answer(Followed(request.owner, job_id, form=_problem), fold, chat)

    def stop(self, request: Request) -> Response:
        """Stop the chat's newest job, if it runs."""
        if job_id := self._newest(request, _chat(request)):
            with suppress(JobNotFound, JobGone):
                self._actions.cancel(Request(request.method, request.owner, {"job_id": job_id}))
        return _NOTHING

    def _submit(self, request: Request) -> Submitted:
        asked = chat_request(request.body)
        wanted = asked.request
        if wanted.model:
            wanted = replace(wanted, model=model_meant({"model": wanted.model}, self._models, request.owner))
        chat, kept_ms = chat_of(request.owner, request.user, asked.chat_id), self._kept_ms(asked)

        # Where Redis refuses it, the chat cannot be resumed, but its answer is on its way.
        def note(trip: RoundTrip, job_id: str) -> list[Outcome[Any]]:
            return [self._chats.note(trip, chat, job_id, kept_ms)]

        return self._submissions.submit_asked(request, UI_CHAT, asked, wanted, stays=True, notes=note)

    def _kept_ms(self, asked: ChatRequest) -> int:
        retention, wanted_s = self._store.retention, asked.request.retention_s
        return retention.asked_ms(wanted_s) if wanted_s else retention.content_ms

    def _newest(self, request: Request, chat: str) -> str | None:
        """The chat's newest job whose answer was not delivered."""
        job_id = self._chats.find(chat)
        try:
            return self._views.job(request.owner, job_id).id if job_id else None
        except (JobNotFound, JobGone):
            return None

    def _whole_message(self, job_id: str) -> UiStream:
        """The fold that begins with what the job's message had before its answer."""
        asked: Any = msgspec.json.decode(self._store.request(job_id))
        return UiStream(job_id, *continued_by(asked))

    def _answer(self, followed: Followed, fold: UiStream, chat: str) -> Delivery:
        is_delivered = yield from stream(followed, fold, self._clock, has_head_at_once=True, headers=_STREAM)
        if is_delivered:
            yield RunBlocking(lambda: self._forget(chat, followed.job_id))
        return is_delivered

    def _forget(self, chat: str, job_id: str) -> None:
        with suppress(StoreUnavailable, StoreFull):
            self._chats.forget(chat, job_id)


def _problem(told: Response) -> Response:
    """A refusal as our own calls have it: the chat shows its body."""
    return told


def _chat(request: Request) -> str:
    return chat_of(request.owner, request.user, request.parameters["chat_id"])
