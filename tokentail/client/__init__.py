"""The Python client: submit a prompt and follow its tokens by long poll, over whatever happens to the connection.

It speaks HTTP as docs/protocol.md has it and knows nothing of Redis. Errors of requests stop here.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from tokentail.client.answers import (
    ApiError,
    Body,
    RemoteJob,
    ServerUnreachable,
    Update,
    parse_job,
    parse_object,
    parse_refusal,
    parse_retry_after,
    parse_update,
)
from tokentail.errors import TokentailError

__all__ = ["Client", "Update", "RemoteJob", "ApiError", "ServerUnreachable"]

_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 30.0  # beyond the wait that was asked for
_LEAST_WAIT_S = 1.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_PASSING = frozenset({429, 502, 503, 504})  # statuses that another try may change
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Client:
    """One server, and one key to it, for one thread; as a context manager it closes its connections.

    `wait_s` is how long a poll lets the server wait for a token; 0 makes short polls, at the pace that the server
    advises. `patience_s` is how long a lost connection, a 429, 502, 503 or 504 is ridden out before it is an error.
    Raises ValueError for a key that a header cannot carry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        wait_s: float = 20.0,
        patience_s: float = 60.0,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._wait_s = wait_s
        self._patience_s = patience_s
        self._session = session or requests.Session()
        self._session.auth = _Key(api_key)
        if urlsplit(self._base_url).hostname in _LOOPBACK:
            self._session.trust_env = False  # no proxy leads to this machine
        self._clock = clock
        self._pause = pause

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

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
        tools: Sequence[Body] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteJob:
        """Submit a prompt, or messages; the job, which is in the queue.

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
            "tools": tools,
            "metadata": metadata,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return parse_job(self._call("POST", "/v1/jobs", json=body, headers=headers))

    def follow(self, job_id: str, cursor: str = "0", *, patience_s: float | None = None) -> Iterator[Update]:
        """What the job says from `cursor` on, answer by answer, until it is done.

        After a lost connection it goes on from its cursor: nothing is lost, nothing comes twice. Raises ApiError,
        ServerUnreachable.
        """
        patience_s = self._patience_s if patience_s is None else patience_s
        wait_s = self._wait_s

        def poll() -> requests.Response:
            query = {"cursor": cursor, **({"wait": f"{wait_s:g}"} if wait_s else {})}
            return self._send("GET", f"{_path(job_id)}/tokens", params=query, read_timeout_s=wait_s + _READ_TIMEOUT_S)

        def shorten() -> None:
            # Something on the way does not let a request wait that long.
            nonlocal wait_s
            wait_s = max(wait_s / 2, _LEAST_WAIT_S) if wait_s else 0

        while True:
            update = parse_update(_object(self._patiently(poll, patience_s, shorten)))
            yield update
            if update.is_done:
                return
            cursor = update.cursor
            self._pause(update.poll_after_ms / 1000)  # 0 after news of a long poll

    def text(self, job_id: str) -> str:
        """The text of the job so far. Raises ApiError, ServerUnreachable."""
        response = self._patiently(lambda: self._send("GET", f"{_path(job_id)}/text"), self._patience_s)
        return response.content.decode()

    def status(self, job_id: str) -> RemoteJob:
        """What is known of the job. Raises ApiError, ServerUnreachable."""
        return parse_job(self._call("GET", _path(job_id)))

    def cancel(self, job_id: str) -> RemoteJob:
        """Stop the job, queued or running; a closed one stays as it is. Raises ApiError, ServerUnreachable."""
        return parse_job(self._call("POST", f"{_path(job_id)}/cancel"))

    def delete(self, job_id: str) -> None:
        """Stop the job and erase all that it holds. Raises ApiError, ServerUnreachable."""
        self._patiently(lambda: self._send("DELETE", _path(job_id)), self._patience_s)

    def jobs(self) -> Iterator[RemoteJob]:
        """The caller's jobs, newest first, read page by page. Raises ApiError, ServerUnreachable."""
        page: str | None = "/v1/jobs"
        while page:
            body = self._call("GET", page)
            yield from map(parse_job, body["jobs"])
            page = body.get("next")

    # -- sending ------------------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, **options: Any) -> Body:
        return _object(self._patiently(lambda: self._send(method, path, **options), self._patience_s))

    def _patiently(
        self, send: Callable[[], requests.Response], patience_s: float, on_cut: Callable[[], None] = lambda: None
    ) -> requests.Response:
        """What `send` gives once nothing passing is in its way; only calls that can be repeated may come here.

        `on_cut` is told of a request that was broken off while the server may have been waiting with it.
        """
        deadline: float | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            began = self._clock()
            try:
                return send()
            except _Passing as failure:
                now = self._clock()
                deadline = now + patience_s if deadline is None else deadline
                wanted_s = failure.retry_after_s
                if wanted_s is None:
                    wanted_s = pause_s * SystemRandom().uniform(0.5, 1.0)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                if now + wanted_s > deadline:
                    raise failure.error from None
                if now - began >= _LEAST_WAIT_S:
                    on_cut()
            self._pause(wanted_s)

    def _send(
        self, method: str, path: str, *, read_timeout_s: float = _READ_TIMEOUT_S, **options: Any
    ) -> requests.Response:
        """One exchange. Raises _Passing for what another try may change, ApiError or ServerUnreachable for the rest."""
        try:
            response = self._session.request(
                method,
                self._base_url + path,
                timeout=(_CONNECT_TIMEOUT_S, read_timeout_s),
                allow_redirects=False,  # a redirected POST becomes a GET
                **options,
            )
        except requests.exceptions.SSLError as error:
            raise ServerUnreachable(f"{self._base_url} has no certificate to trust ({type(error).__name__})") from None
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            raise _Passing(ServerUnreachable(f"{self._base_url} cannot be reached ({type(error).__name__})")) from None
        except requests.exceptions.RequestException as error:
            raise ServerUnreachable(f"{self._base_url} cannot be asked ({type(error).__name__})") from None
        if response.status_code < 300:
            return response
        refusal = parse_refusal(response.status_code, response.headers, response.content)
        if response.status_code in _PASSING:
            raise _Passing(refusal, parse_retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC)))
        raise refusal


class _Passing(Exception):
    """A failure that another try may not see."""

    def __init__(self, error: TokentailError, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class _Key(AuthBase):
    """Sends our key, or none: never one that .netrc has for the host, as requests would."""

    def __init__(self, api_key: str | None) -> None:
        if api_key and not all("!" <= letter <= "~" for letter in api_key):
            raise ValueError("the API key has characters that a header cannot carry")
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._api_key:
            request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _object(response: requests.Response) -> Body:
    return parse_object(response.status_code, response.content)
