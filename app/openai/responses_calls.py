"""The handlers of Responses."""

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

import msgspec

from app.calls.jobs import JobViews
from app.calls.submit import JobActions
from app.http.openai_errors import NO_RETRY, RESTARTED, error_response, failed_response
from app.http.openai_routes import RESPONSES
from app.http.query import is_asked
from app.http.request import Request
from app.http.response import Response, json_response, media_type_refusal
from app.http.router import Handler
from app.openai.body import Fields, fields_of
from app.openai.following import Clock, Delivery, Followed, answer_so_far, refused, stream, whole_answer
from app.openai.input_items import listed_items, page_of
from app.openai.numbers import is_of_generation
from app.openai.responses_items import Earlier, job_of_response, response_id, response_path
from app.openai.responses_object import ResponseFacts, answered
from app.openai.responses_request import ResponsesRequest, earlier_jobs, responses_request
from app.openai.responses_stream import ResponsesStream
from app.openai.submissions import Submissions, Submitted
from app.reading.steps import HandlerSteps, Head, RunBlocking, Step, Stream
from tokentail.errors import Fault, InvalidRequest, JobGone, JobNotFound, MalformedBody, TokentailError
from tokentail.jobs.job import Job
from tokentail.log.batch import Batch
from tokentail.redis.store import Store

_MOST_DIGITS = 18


class ResponsesCalls:
    """Handlers of Responses."""

    def __init__(
        self, submissions: Submissions, views: JobViews, actions: JobActions, store: Store, clock: Clock
    ) -> None:
        self._submissions = submissions
        self._views = views
        self._actions = actions
        self._store = store
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {
            "createResponse": self.create,
            "retrieveResponse": self.retrieve,
            "deleteResponse": self.delete,
            "cancelResponse": self.cancel,
            "listResponseInputItems": self.input_items,
        }

    def create(self, request: Request) -> Stream:
        """Make a response: whole, as a stream, or in the background."""
        if refusal := media_type_refusal(request.headers):
            yield Head(refusal)
            return
        earlier = yield from self._earlier(request)
        ask = partial(responses_request, earlier=earlier)
        made: Submitted = yield RunBlocking(
            lambda: self._submissions.submit(request, RESPONSES, ask, lambda asked: asked.is_background)
        )
        is_delivered = yield from self._submissions.answered(made, self._answer(request, made))
        if is_delivered and not made.asked.is_stored:
            yield RunBlocking(lambda: self._erase(request, made.job.id))

    def retrieve(self, request: Request) -> Stream:
        """The response as it is now; with `stream`, its events above `starting_after`."""
        facts = yield from self._found(request)
        followed = Followed(request.owner, facts.job_id)
        query = request.query
        if query.get("stream") != "true" and not is_asked(query, "stream"):
            yield from self._now(followed, facts)
            return
        after = _number(query.get("starting_after"))
        try:
            batch: Batch = yield followed.read
        except TokentailError as error:
            yield Head(refused(error, followed))
            return
        if is_of_generation(after, batch.generation, batch.base, batch.length):
            fold = ResponsesStream(facts, after)
            yield from stream(followed, fold, self._clock, first=batch, has_head_at_once=True)
        else:
            path = f"{response_path(facts.job_id)}?stream=true"
            told = (
                f"No event of this answer has that number: the model began anew, or it is wrong. Read all: GET {path}"
            )
            yield Head(error_response(409, told, RESTARTED, "starting_after", {**NO_RETRY, **followed.headers}))

    def cancel(self, request: Request) -> HandlerSteps[Response]:
        """Stop the job; the response of one that has ended stays as it is."""
        facts = yield from self._found(request)
        yield RunBlocking(lambda: self._actions.cancel(_of_job(request, facts.job_id)))
        followed = Followed(request.owner, facts.job_id)
        batch, answer = yield from answer_so_far(followed)
        return json_response(answered(facts, batch.status, answer), headers=followed.headers)

    def delete(self, request: Request) -> Response:
        """Stop the job and erase its content."""
        job_id = _job_id(request)
        self._actions.delete(_of_job(request, job_id))
        return json_response({"id": response_id(job_id), "object": "response", "deleted": True})

    def input_items(self, request: Request) -> Response:
        """The items of the request."""
        job = self._views.job(request.owner, _job_id(request))
        origin = _request_of(self._store, job.id).get("origin") or {}
        return json_response(page_of(listed_items(job.id, origin.get("input") or []), request.query))

    def _erase(self, request: Request, job_id: str) -> None:
        """Erase a job that is not to be stored, if it has ended; else the sweep does, when its last reader has left."""
        if self._views.job(request.owner, job_id).status.is_closed:
            self._actions.delete(_of_job(request, job_id))

    def _answer(self, request: Request, made: Submitted) -> Delivery:
        asked: ResponsesRequest = made.asked
        facts = _facts(made.job, msgspec.to_builtins(asked.request))
        followed = Followed(request.owner, made.job.id, made.allowance)
        if asked.is_stream:
            fold = ResponsesStream(facts)
            return (yield from stream(followed, fold, self._clock, has_head_at_once=asked.is_background))
        return (yield from self._now(followed, facts) if asked.is_background else self._whole(followed, facts))

    def _now(self, followed: Followed, facts: ResponseFacts) -> Delivery:
        try:
            batch, answer = yield from answer_so_far(followed)
        except TokentailError as error:
            yield Head(refused(error, followed))
            return False
        yield Head(json_response(answered(facts, batch.status, answer), headers=followed.headers))
        return True

    def _whole(self, followed: Followed, facts: ResponseFacts) -> Delivery:
        try:
            answer = yield from whole_answer(followed, self._clock)
        except TokentailError as error:
            yield Head(refused(error, followed))
            return False
        end = (answer and answer.end) or {}
        if answer is not None and end.get("status") != "completed" and not answer.items:
            yield Head(failed_response(end, followed.headers))
        elif answer is not None:
            yield Head(json_response(answered(facts, end["status"], answer), headers=followed.headers))
        return True

    def _found(self, request: Request) -> Generator[Step, Any, ResponseFacts]:
        """The facts of the path's response. Raises JobNotFound, JobGone."""
        job_id = _job_id(request)

        def read() -> ResponseFacts:
            job = self._views.job(request.owner, job_id)
            return _facts(job, _request_of(self._store, job_id))

        facts: ResponseFacts = yield RunBlocking(read)
        return facts

    def _earlier(self, request: Request) -> Generator[Step, Any, Mapping[str, Earlier]]:
        """The jobs that the body refers to, as far as they are there and the caller's own."""
        try:
            names = earlier_jobs(fields_of(request.body))
        except (InvalidRequest, MalformedBody):
            names = set()  # the body is refused in a moment
        found: dict[str, Earlier] = {}
        for job_id in sorted(names):
            try:
                _, answer = yield from answer_so_far(Followed(request.owner, job_id))
                asked = yield RunBlocking(partial(_request_of, self._store, job_id))
            except (JobNotFound, JobGone):
                continue
            found[job_id] = Earlier(_messages_of(asked), answer)
        return found


def _messages_of(request: Mapping[str, Any]) -> list[Fields]:
    """The messages of a stored request without the instructions, which hold for one response."""
    if "prompt" in request:
        return [{"role": "user", "content": request["prompt"]}]
    messages: list[Fields] = list(request.get("messages") or [])
    return messages[1:] if (request.get("origin") or {}).get("instructions") else messages


def _request_of(store: Store, job_id: str) -> Mapping[str, Any]:
    """The stored request as JSON. Raises JobGone where it has expired."""
    request: Mapping[str, Any] = msgspec.json.decode(store.request(job_id))
    return request


def _facts(job: Job, request: Mapping[str, Any]) -> ResponseFacts:
    return ResponseFacts(job.id, job.model, job.created_at_ms // 1000, request)


def _job_id(request: Request) -> str:
    job_id = job_of_response(request.parameters["response_id"])
    if job_id is None:
        raise JobNotFound(JobNotFound.__doc__)
    return job_id


def _of_job(request: Request, job_id: str) -> Request:
    """The request as our own calls of one job take it."""
    return Request(request.method, request.owner, {"job_id": job_id}, "", request.headers)


def _number(text: str | None) -> int:
    if text is None:
        return -1
    if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise InvalidRequest(Fault("starting_after", "is the sequence_number of an event of this response"))
    return int(text)
