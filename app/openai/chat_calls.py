"""The handlers of Chat Completions."""

import math

from app.calls.jobs import JobViews
from app.http.openai_errors import error_response, failed_response
from app.http.openai_routes import CHAT, CHAT_COMPLETION
from app.http.request import Request
from app.http.response import json_response, media_type_refusal
from app.http.router import Handler
from app.openai.chat_answer import ID_PREFIX, chat_completion, chat_id
from app.openai.chat_request import ChatRequest, chat_request
from app.openai.chat_stream import ChatStream
from app.openai.following import Clock, Delivery, Followed, refused, stream, whole_answer
from app.openai.submissions import Submissions, Submitted
from app.reading.steps import Head, RunBlocking, Stream
from tokentail.errors import JobNotFound, TokentailError
from tokentail.identifiers import is_job_id
from tokentail.jobs.job import Job


class ChatCalls:
    """Handlers of Chat Completions."""

    def __init__(self, submissions: Submissions, views: JobViews, max_wait_s: float, clock: Clock) -> None:
        self._submissions = submissions
        self._views = views
        self._max_wait_s = max_wait_s
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {"createChatCompletion": self.create, "retrieveChatCompletion": self.retrieve}

    def create(self, request: Request) -> Stream:
        """Answer a conversation, whole or as a stream."""
        if refusal := media_type_refusal(request.headers):
            yield Head(refusal)
            return
        made: Submitted = yield RunBlocking(
            lambda: self._submissions.submit(request, CHAT, chat_request, lambda asked: asked.is_stored)
        )
        yield from self._submissions.answered(made, self._answer(request, made))

    def retrieve(self, request: Request) -> Stream:
        """The whole answer of a job that has ended, whichever interface made it."""
        name = request.parameters["completion_id"]
        job_id = name.removeprefix(ID_PREFIX)
        if not is_job_id(job_id):
            raise JobNotFound(JobNotFound.__doc__)
        job: Job = yield RunBlocking(lambda: self._views.job(request.owner, job_id))
        yield from self._whole(Followed(request.owner, job_id), job, self._max_wait_s)

    def _answer(self, request: Request, made: Submitted) -> Delivery:
        asked: ChatRequest = made.asked
        job = made.job
        followed = Followed(request.owner, job.id, made.allowance)
        if not asked.is_stream:
            return (yield from self._whole(followed, job))
        path = CHAT_COMPLETION.format(completion_id=chat_id(job.id))
        created_s = job.created_at_ms // 1000
        fold = ChatStream(job.id, job.model, created_s, with_usage=asked.with_usage, path=path)
        return (yield from stream(followed, fold, self._clock))

    def _whole(self, followed: Followed, job: Job, within_s: float = math.inf) -> Delivery:
        try:
            answer = yield from whole_answer(followed, self._clock, within_s)
        except TokentailError as error:
            yield Head(refused(error, followed))
            return False
        if answer is None:
            later = {"Retry-After": "1", **followed.headers}
            yield Head(error_response(409, "The answer is not complete yet.", "in_progress", headers=later))
            return False
        end = answer.end or {}
        if end.get("status") == "completed":
            body = chat_completion(answer, job.id, job.model, job.created_at_ms // 1000)
            yield Head(json_response(body, headers=followed.headers))
        else:
            yield Head(failed_response(end, followed.headers))
        return True
