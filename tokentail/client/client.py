"""The client: one server's calls as methods, and one iterator over a job's updates."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self
from urllib.parse import quote

import requests

from tokentail.client.connection import Connection
from tokentail.client.follower import Follower
from tokentail.client.job_list import JobList
from tokentail.client.responses import (
    Body,
    ForeignResponse,
    JobNotCompleted,
    Models,
    RemoteJob,
    ShareLink,
    Update,
    parse_job,
    parse_models,
    parse_share_link,
)
from tokentail.client.transport_health import LEAST_WAIT_S, Choice, TransportHealth
from tokentail.jobs.job import Status


class Client:
    """A client of one server, for one thread; as a context manager it closes its connections.

    `key` is an API key; `token` is a share link's token, with which its job can be read. `wait_s` is how long a long
    poll lets the server wait. `patience_s` is how long lost connections and the statuses 429, 502, 503 and 504 are
    retried. Raises ValueError for a key with characters that a header cannot have, and for a wait below 1 s.
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
        self._health = TransportHealth("auto", wait_s)  # shared by all jobs

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
        on_abandon: Literal["cancel"] | None = None,
        abandon_after_s: float | None = None,
        user: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retention_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteJob:
        """Submit a prompt or messages; returns the queued job. docs/protocol.md describes each field.

        Retries do not make a second job, because the request has an Idempotency-Key: the given one or a new one.
        Raises ApiError, ServerUnreachable.
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
            "on_abandon": on_abandon,
            "abandon_after_s": abandon_after_s,
            "user": user,
            "metadata": metadata,
            "retention_s": retention_s,
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
        """Iterate over the job's updates from `cursor` on, until the job is done.

        Each token is delivered exactly once and in order. `auto` starts with a stream (SSE) and polls where streams
        do not work; `sse`, `long` and `short` keep to one transport. With `events` updates have `events`, too.
        `linger_ms` (to 5000) lets the server collect tokens: fewer, larger updates. Raises ApiError,
        ServerUnreachable, and ValueError for an unknown transport.
        """
        follower = Follower(
            self._connection,
            _path(job_id),
            cursor,
            self._health if transport == "auto" else TransportHealth(transport, self._wait_s),
            patience_s=self._patience_s if patience_s is None else patience_s,
            with_events=events,
            linger_ms=linger_ms,
        )
        return follower.updates()

    def ask(self, prompt: str, *, model: str | None = None, max_tokens: int | None = None) -> str:
        """Submit a prompt and wait for the whole text.

        Raises JobNotCompleted, which has the text so far; ApiError, ServerUnreachable.
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
        response = self._connection.call("GET", f"{_path(job_id)}/text", self._patience_s)
        if not response.headers.get("Content-Type", "").startswith("text/plain"):
            raise ForeignResponse(response.status_code)
        return response.content.decode()

    def job(self, job_id: str) -> RemoteJob:
        """The job's present state. Raises ApiError, ServerUnreachable."""
        return parse_job(self._call("GET", _path(job_id)))

    def jobs(
        self,
        limit: int | None = None,
        *,
        user: str | None = None,
        status: str | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        since: str | None = None,
    ) -> JobList:
        """The caller's jobs, newest first, at most `limit`, read page by page; those for which all that is asked holds.

        A `*` at the end of `model` stands for anything. `since` is a time in RFC 3339, or an age such as `15m`, `2h` or
        `7d`. Raises ApiError, ServerUnreachable.
        """
        asked = {f"metadata.{name}": value for name, value in (metadata or {}).items()}
        return self._pages("/v1/jobs", limit, user=user, status=status, model=model, since=since, **asked)

    def request(self, job_id: str) -> Body:
        """What was asked, in the fields of a submission. Raises ApiError, ServerUnreachable."""
        return self._call("GET", f"{_path(job_id)}/request")

    def delete_user(self, user: str, *, tombstones: bool = False) -> int:
        """Erase all jobs of one of the application's users; how many that were. Jobs that run are cancelled.

        With `tombstones`, nothing is left that says that the jobs existed; tombstones that an erasure without it has
        left are not found any more. Raises ApiError, ServerUnreachable.
        """
        deleted, query = 0, {"user": user, **({"tombstones": "1"} if tombstones else {})}
        while True:
            step = self._call("DELETE", "/v1/jobs", params=query)
            deleted += int(step["deleted"])
            if step["done"]:
                return deleted

    def all_jobs(
        self,
        limit: int | None = None,
        *,
        status: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        model: str | None = None,
        since: str | None = None,
    ) -> JobList:
        """The records of all owners' jobs, for an operator's key: like `jobs`, and without content."""
        query = {"status": status, "owner": owner, "user": user, "model": model, "since": since}
        return self._pages("/v1/operator/jobs", limit, **query)

    def overview(self) -> Body:
        """The state of the whole deployment, with its reasons and numbers. Raises ApiError, ServerUnreachable."""
        return self._call("GET", "/v1/overview")

    def cancel(self, job_id: str) -> RemoteJob:
        """Stop a queued or running job; a closed job stays as it is. Raises ApiError, ServerUnreachable."""
        return parse_job(self._call("POST", f"{_path(job_id)}/cancel"))

    def delete(self, job_id: str) -> None:
        """Stop the job and erase its content. Raises ApiError, ServerUnreachable."""
        self._connection.call("DELETE", _path(job_id), self._patience_s)

    def share(self, job_id: str, *, expires_in_s: int | None = None) -> ShareLink:
        """A link that allows anybody to read the job until it expires: after 60 s to a week, which is the default.

        Raises ApiError, ServerUnreachable.
        """
        asked = {} if expires_in_s is None else {"json": {"expires_in_s": expires_in_s}}
        return parse_share_link(self._call("POST", f"{_path(job_id)}/share", **asked), self._connection.url)

    def revoke_shares(self, job_id: str) -> None:
        """Refuse every link to the job that was made so far. Raises ApiError, ServerUnreachable."""
        self._connection.call("DELETE", f"{_path(job_id)}/share", self._patience_s)

    def models(self) -> Models:
        """The models that the server offers. Raises ApiError, ServerUnreachable."""
        return parse_models(self._call("GET", "/v1/models"))

    def _pages(self, path: str, limit: int | None, **query: str | None) -> JobList:
        asked = {name: value for name, value in query.items() if value is not None}
        return JobList(lambda page, params: self._call("GET", page, params=params), path, asked, limit)

    def _call(self, method: str, path: str, **options: Any) -> Body:
        return self._connection.call_object(method, path, self._patience_s, **options)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
