"""The plane: which requests are answered by coroutines, and with what. Everything else is Flask's.

The answers are made by the functions that Flask calls, so that there is one meaning; only what takes their steps is
another. What blocks (submitting) runs in a thread: there are as many as Flask has, and none of them waits for news.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from app.access import SUBMITTING_GET
from app.answer import JSON, problem
from app.calls import Calls
from app.query import preferred_wait_s, query_of, raw_stream_request
from app.read_plane.driver import Driver
from app.read_plane.exchange import Exchange, OnAnswer
from app.read_plane.sockets import Sockets
from app.read_plane.tails import Tails
from app.streams import event_stream, parse_raw_stream_place, raw_stream

Result = TypeVar("Result")
Coroutine = Callable[[Exchange, bytes], Awaitable[None]]

_OF_JOB = "/v1/jobs/"


class Plane:
    """The coroutines' part of the interface."""

    def __init__(self, calls: Calls, tails: Tails, most_key_places: int, on_answer: OnAnswer | None = None) -> None:
        self._calls = calls
        self._threads = ThreadPoolExecutor(calls.settings.web_threads, thread_name_prefix="write")
        self.driver = Driver(tails, most_key_places)
        self.sockets = Sockets(calls, self.driver, self._in_thread, on_answer)
        self._of_job: dict[str, Coroutine] = {
            "tokens": self._tokens,
            "events": self._events,
            "stream": self._stream,
        }

    def close(self) -> None:
        """What has not begun to block is given up; what has ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def answerer(self, method: str, path: str, headers: dict[str, str]) -> Coroutine | None:
        """The coroutine that answers; None when Flask does."""
        if method in {"GET", "HEAD"}:
            if path.startswith(_OF_JOB):
                job_id, _, call = path[len(_OF_JOB) :].partition("/")
                return self._of_job.get(call) if job_id else None
            if path == SUBMITTING_GET:
                return self._raw_stream if method == "GET" else None
            if path == "/v1/poll":
                return self._poll_any
            return self._health if path == "/healthz" else None
        is_patient = method == "POST" and path == "/v1/jobs" and preferred_wait_s(headers.get("prefer"))
        return self._submit if is_patient else None

    async def _health(self, exchange: Exchange, _body: bytes) -> None:
        await exchange.answer(self._calls.system.health())  # by no thread: all of them may be waiting for Redis

    async def _tokens(self, exchange: Exchange, _body: bytes) -> None:
        steps = self._calls.polls.tokens(exchange.caller.owner, _job_id(exchange), _query(exchange))
        await exchange.answer(await self.driver.drive(steps, exchange))

    async def _events(self, exchange: Exchange, _body: bytes) -> None:
        steps = self._calls.polls.events(exchange.caller.owner, _job_id(exchange), _query(exchange))
        await exchange.answer(await self.driver.drive(steps, exchange))

    async def _poll_any(self, exchange: Exchange, _body: bytes) -> None:
        query_string = exchange.scope["query_string"].decode("latin-1")
        await exchange.answer(
            await self.driver.drive(self._calls.polls.any_of(exchange.caller.owner, query_string), exchange)
        )

    async def _stream(self, exchange: Exchange, _body: bytes) -> None:
        owner, query = exchange.caller.owner, _query(exchange)
        steps = event_stream(owner, _job_id(exchange), query, exchange.headers, time.monotonic)
        await self.driver.stream(steps, exchange)

    async def _raw_stream(self, exchange: Exchange, _body: bytes) -> None:
        owner = exchange.caller.owner
        if last_event_id := exchange.headers.get("last-event-id"):
            job_id, cursor = parse_raw_stream_place(last_event_id)
        else:
            request, cursor = raw_stream_request(_query(exchange)), None
            job_id = await self._in_thread(self._calls.writes.accept_parsed, owner, exchange.headers, request)
        await self.driver.stream(raw_stream(owner, job_id, cursor, time.monotonic), exchange)

    async def _submit(self, exchange: Exchange, body: bytes) -> None:
        writes, owner, headers = self._calls.writes, exchange.caller.owner, exchange.headers
        if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            await exchange.answer(problem(415, f"Send the request as {JSON}.", {"Accept-Post": JSON}))
            return
        job_id = await self._in_thread(writes.accept, owner, headers, body)
        text = await self.driver.drive(writes.wait_for_result(owner, job_id, headers), exchange)
        await exchange.answer(await self._in_thread(writes.accepted, owner, job_id, headers, text))


def _job_id(exchange: Exchange) -> str:
    path: str = exchange.scope["path"]
    return path[len(_OF_JOB) :].partition("/")[0]


def _query(exchange: Exchange) -> dict[str, str]:
    query = query_of(exchange.scope["query_string"].decode("latin-1"))
    if exchange.scope["method"] == "HEAD":
        query.pop("wait", None)  # there is no body to wait for
    return query
