"""The client: one server's calls as methods, and one iterator over a job's updates."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self
from urllib.parse import quote

import requests

from tokentail.client.answers import (
    Body,
    JobNotCompleted,
    Models,
    RemoteJob,
    ShareLink,
    Update,
    parse_job,
    parse_models,
    parse_share_link,
)
from tokentail.client.connection import Connection
from tokentail.client.follower import Follower
from tokentail.client.route import LEAST_WAIT_S, Choice, Route
from tokentail.job import Status


class Client:
    """One server, and one key to it, for one thread; as a context manager it closes its connections.

    `key` is an API key; `token` is what a share link has, good for reading its job. `wait_s` is how long a long poll
    lets the server wait. `patience_s` is how long a lost connection, a 429, 502, 503 or 504 is ridden out before it is
    an error. Raises ValueError for a key that a header cannot carry, and for a wait below 1 s.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        token: str | None = None,
        wait_s: float = 20.0,
        patience_s: float = 60.0,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if wait_s < LEAST_WAIT_S:
            raise ValueError(f'a long poll waits {LEAST_WAIT_S:g} s or more; transport="short" does not wait')
        self._wait_s = wait_s
        self._patience_s = patience_s
        self._connection = Connection(url, key, token, session, clock, pause)
        self._route = Route("auto", wait_s)  # what is learned of the way to the server holds for the next job, too

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def submit(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Body] | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        tools: Sequence[Body] | None = None,
        tool_choice: str | Body | None = None,
        response_format: Body | None = None,
        reasoning_effort: str | None = None,
        extra: Body | None = None,
        timeouts: Mapping[str, float] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteJob:
        """Submit a prompt, or messages; the job, which is in the queue. docs/protocol.md describes each field.

        However often it has to be sent it makes one job, because it carries an Idempotency-Key: the given one, or a
        fresh one. Raises ApiError, ServerUnreachable.
        """
        fields = {
            "prompt": prompt,
            "messages": messages,
            "model": model,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "stop": stop,
            "seed": seed,
            "tools": tools,
            "tool_choice": tool_choice,
            "response_format": response_format,
            "reasoning_effort": reasoning_effort,
            "extra": extra,
            "timeouts": timeouts,
            "metadata": metadata,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return parse_job(self._call("POST", "/v1/jobs", json=body, headers=headers))

    def follow(
        self,
        job_id: str,
        cursor: str = "0",
        *,
        transport: Choice = "auto",
        events: bool = False,
        linger_ms: int = 0,
        patience_s: float | None = None,
    ) -> Iterator[Update]:
        """What the job says from `cursor` on, update by update, until it is done.

        Nothing is lost, nothing comes twice, whatever happens on the way. `auto` begins with a stream (SSE) and polls
        where streams do not come through; `sse`, `long` and `short` keep to one transport. With `events` updates
        have what is not text, too. `linger_ms` (to 5000) lets the server gather: fewer, larger updates. Raises
        ApiError, ServerUnreachable; ValueError for a transport that is none.
        """
        follower = Follower(
            self._connection,
            _path(job_id),
            cursor,
            self._route if transport == "auto" else Route(transport, self._wait_s),
            patience_s=self._patience_s if patience_s is None else patience_s,
            with_events=events,
            linger_ms=linger_ms,
        )
        return follower.updates()

    def ask(self, prompt: str, *, model: str | None = None, max_tokens: int | None = None) -> str:
        """Submit and follow; the whole text.

        Raises JobNotCompleted, which has what came until then; ApiError, ServerUnreachable.
        """
        job = self.submit(prompt, model=model, max_tokens=max_tokens)
        text = ""
        for update in self.follow(job.id):
            text = update.applied_to(text)
            if update.is_done and update.status is not Status.COMPLETED:
                raise JobNotCompleted(update, text)
        return text

    def text(self, job_id: str) -> str:
        """The text of the job so far. Raises ApiError, ServerUnreachable."""
        return self._connection.ask("GET", f"{_path(job_id)}/text", self._patience_s).content.decode()

    def job(self, job_id: str) -> RemoteJob:
        """What is known of the job. Raises ApiError, ServerUnreachable."""
        return parse_job(self._call("GET", _path(job_id)))

    def jobs(self, limit: int | None = None) -> Iterator[RemoteJob]:
        """The caller's jobs, newest first, at most `limit`; read page by page. Raises ApiError, ServerUnreachable."""
        return islice(self._all_jobs(), limit)

    def cancel(self, job_id: str) -> RemoteJob:
        """Stop the job, queued or running; a closed one stays as it is. Raises ApiError, ServerUnreachable."""
        return parse_job(self._call("POST", f"{_path(job_id)}/cancel"))

    def delete(self, job_id: str) -> None:
        """Stop the job and erase all that it holds. Raises ApiError, ServerUnreachable."""
        self._connection.ask("DELETE", _path(job_id), self._patience_s)

    def share(self, job_id: str) -> ShareLink:
        """A link with which anybody may read the job for a while. Raises ApiError, ServerUnreachable."""
        return parse_share_link(self._call("POST", f"{_path(job_id)}/share"), self._connection.url)

    def models(self) -> Models:
        """What can be asked for. Raises ApiError, ServerUnreachable."""
        return parse_models(self._call("GET", "/v1/models"))

    def _all_jobs(self) -> Iterator[RemoteJob]:
        page: str | None = "/v1/jobs"
        while page:
            body = self._call("GET", page)
            yield from map(parse_job, body["jobs"])
            page = body.get("next")

    def _call(self, method: str, path: str, **options: Any) -> Body:
        return self._connection.ask_object(method, path, self._patience_s, **options)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
