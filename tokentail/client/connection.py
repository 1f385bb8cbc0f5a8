"""The connection to one server: requests with credentials, refusals as errors, and retries of temporary failures.

Errors of requests, and of urllib3 below it, stop here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from tokentail.client.responses import (
    Body,
    ForeignResponse,
    ServerUnreachable,
    parse_object,
    parse_refusal,
    parse_retry_after,
)
from tokentail.errors import TokentailError
from tokentail.final_response import FinalResponses

_T = TypeVar("_T")

_READ_TIMEOUT_S = 20.0
_CONNECT_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
# Statuses that a retry may change; those from 520 on are of proxies that could not reach the server.
_TEMPORARY_STATUSES = frozenset({408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530})
_ABSENT_STATUSES = _TEMPORARY_STATUSES | {500}  # of a proxy whose server is away
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READ_BYTES = 65536
_MOST_REFUSAL_BYTES = 64 << 10  # a problem document is shorter, and a proxy's page is not used


class TransportError(Exception):
    """A temporary failure: a retry may succeed. `is_silence`: nothing arrived for the whole read timeout."""

    def __init__(self, error: TokentailError, retry_after_s: float | None = None, *, is_silence: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s
        self.is_silence = is_silence


class Patience:
    """How long and how often temporary failures are retried, counted from the first failure in a row."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        """A request succeeded: the next failure is the first in a row."""
        self._deadline: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def pause_s(self, failure: TransportError, now: float) -> float:
        """How long to pause before the next try. Raises the failure's error if that exceeds the patience."""
        if self._deadline is None:
            self._deadline = now + self._patience_s
        wanted_s = failure.retry_after_s
        if wanted_s is None:
            wanted_s = jitter_s(self._pause_s / 2, self._pause_s)
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        if now + wanted_s > self._deadline:
            raise failure.error from None
        return wanted_s


class Connection:
    """Sends requests to `url`, with an API `key` in a header or a share link's read `token` in the address.

    Raises ValueError for a key with characters that a header cannot have.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        token: str | None,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._token = {"token": token} if token else {}
        self._session = session or _own_session()
        self._session.auth = _Key(key)
        if urlsplit(self.url).hostname in _LOOPBACK:
            self._session.trust_env = False  # a proxy of the environment cannot reach this machine
        self.now = clock
        self.pause = pause

    def close(self) -> None:
        self._session.close()

    def call(self, method: str, path: str, patience_s: float, **options: Any) -> requests.Response:
        """The response, with retries of temporary failures. Raises ApiError, ServerUnreachable."""
        return self.retry(lambda: self.request(method, path, **options), patience_s)

    def call_object(self, method: str, path: str, patience_s: float, **options: Any) -> Body:
        """The JSON object in the response. Raises ApiError, ServerUnreachable."""
        return object_of(self.call(method, path, patience_s, **options))

    def retry(
        self,
        send: Callable[[], _T],
        patience_s: float,
        on_failure: Callable[[float], None] = lambda after_s: None,
    ) -> _T:
        """The result of `send`, which is repeated after temporary failures, so it must be safe to repeat.

        `on_failure` receives how many seconds after it was sent a request failed.
        """
        patience = Patience(patience_s)
        while True:
            began = self.now()
            try:
                return send()
            except TransportError as failure:
                now = self.now()
                pause_s = patience.pause_s(failure, now)
                on_failure(now - began)
            self.pause(pause_s)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        read_timeout_s: float = _READ_TIMEOUT_S,
        stream: bool = False,
        **options: Any,
    ) -> requests.Response:
        """One request. Raises TransportError for temporary failures; otherwise ApiError or ServerUnreachable."""
        with self._errors():
            response = self._session.request(
                method,
                self.url + path,
                params={**(params or {}), **self._token},
                timeout=(_CONNECT_TIMEOUT_S, read_timeout_s),
                allow_redirects=False,  # a redirected POST becomes a GET
                stream=True,
                **options,
            )
            if response.status_code < 300:
                if not stream:
                    _ = response.content  # read now, so that its errors are translated
                return response
            with response:
                content = response.raw.read(_MOST_REFUSAL_BYTES, decode_content=True)
            refusal = parse_refusal(response.status_code, response.headers, content)
        is_foreign = isinstance(refusal, ForeignResponse)
        if response.status_code in (_ABSENT_STATUSES if is_foreign else _TEMPORARY_STATUSES):
            raise TransportError(refusal, parse_retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC)))
        raise refusal

    def received(self, response: requests.Response) -> Iterator[bytes]:
        """The body of a response to `stream=True`, as it arrives. Raises TransportError when the connection breaks."""
        while True:
            with self._errors():
                part: bytes = response.raw.read1(_READ_BYTES, decode_content=True)
            if not part:
                return
            yield part

    @contextmanager
    def _errors(self) -> Iterator[None]:
        # The texts of these errors contain addresses with their query, where a token may be.
        try:
            yield
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
            if "EOF" in str(error):  # a connection cut under TLS has no error type of its own
                raise TransportError(self._unreachable(error)) from None
            raise ServerUnreachable(f"{self.url} has no certificate to trust ({type(error).__name__})") from None
        except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
            raise TransportError(self._unreachable(error), is_silence=True) from None
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            urllib3.exceptions.HTTPError,
        ) as error:
            raise TransportError(self._unreachable(error)) from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
            raise ServerUnreachable(f"{self.url} cannot be asked: begin it with http:// or https://") from None
        except requests.exceptions.RequestException as error:
            raise ServerUnreachable(f"{self.url} cannot be asked ({type(error).__name__})") from None

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(f"{self.url} cannot be reached ({type(error).__name__})")


def _own_session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, FinalResponses())
    return session


class _Key(AuthBase):
    """Sends our key, or no key. Without it requests would send a key that .netrc has for the host."""

    def __init__(self, key: str | None) -> None:
        if key and not all("!" <= letter <= "~" for letter in key):
            raise ValueError("the API key has characters that a header cannot carry")
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def object_of(response: requests.Response) -> Body:
    """The JSON object in a response. Raises ApiError for anything else."""
    return parse_object(response.status_code, response.content)


def jitter_s(least_s: float, most_s: float) -> float:
    """A random time between the two, so that clients which were cut off together do not return together."""
    return SystemRandom().uniform(least_s, most_s)
