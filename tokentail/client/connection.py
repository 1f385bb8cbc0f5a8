"""The connection to one server: requests with its key, its refusals as errors, and patience with what passes.

Errors of requests, and of urllib3 below it, stop here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from tokentail.client.answers import Body, ServerUnreachable, parse_object, parse_refusal, parse_retry_after
from tokentail.errors import TokentailError

READ_TIMEOUT_S = 20.0  # beyond the wait that was asked for
_CONNECT_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
# Statuses that another try may change; those from 520 on are of proxies that could not reach the server.
_PASSING = frozenset({408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READ_BYTES = 65536


class Passing(Exception):
    """A failure that another try may not see. `is_silence`: nothing came for as long as one had to wait."""

    def __init__(self, error: TokentailError, retry_after_s: float | None = None, *, is_silence: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s
        self.is_silence = is_silence


class Patience:
    """How long failures that pass are ridden out, and at what pace; it counts from the first of a row."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        """Something worked."""
        self._deadline: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def pause_s(self, failure: Passing, now: float) -> float:
        """How long to wait before the next try. Raises the failure's error when that would take too long."""
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
    """Sends to `url`. With a `key` requests carry it; with a read `token` of a share link, that one.

    Raises ValueError for a key that a header cannot carry.
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
        self._session = session or requests.Session()
        self._session.auth = _Key(key)
        if urlsplit(self.url).hostname in _LOOPBACK:
            self._session.trust_env = False  # no proxy leads to this machine
        self.now = clock
        self.pause = pause

    def close(self) -> None:
        self._session.close()

    def ask(self, method: str, path: str, patience_s: float, **options: Any) -> requests.Response:
        """One answer, once nothing passing is in its way. Raises ApiError, ServerUnreachable."""
        return self.patiently(lambda: self.send(method, path, **options), patience_s)

    def ask_object(self, method: str, path: str, patience_s: float, **options: Any) -> Body:
        """The JSON object in an answer."""
        return object_of(self.ask(method, path, patience_s, **options))

    def patiently(
        self,
        send: Callable[[], requests.Response],
        patience_s: float,
        on_failure: Callable[[float], None] = lambda after_s: None,
    ) -> requests.Response:
        """What `send` gives once nothing passing is in its way; only calls that can be repeated may come here.

        `on_failure` is told how many seconds after it was sent a request failed.
        """
        patience = Patience(patience_s)
        while True:
            began = self.now()
            try:
                return send()
            except Passing as failure:
                now = self.now()
                pause_s = patience.pause_s(failure, now)
                on_failure(now - began)
            self.pause(pause_s)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        read_timeout_s: float = READ_TIMEOUT_S,
        **options: Any,
    ) -> requests.Response:
        """One exchange. Raises Passing for what another try may change, ApiError or ServerUnreachable for the rest."""
        with self._errors():
            response = self._session.request(
                method,
                self.url + path,
                params={**(params or {}), **self._token},
                timeout=(_CONNECT_TIMEOUT_S, read_timeout_s),
                allow_redirects=False,  # a redirected POST becomes a GET
                **options,
            )
            if response.status_code < 300:
                return response
            refusal = parse_refusal(response.status_code, response.headers, response.content)
        if response.status_code in _PASSING:
            raise Passing(refusal, parse_retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC)))
        raise refusal

    def received(self, response: requests.Response) -> Iterator[bytes]:
        """The body of an answer that was asked for with `stream=True`, as it comes. Raises Passing when it breaks."""
        while True:
            with self._errors():
                part: bytes = response.raw.read1(_READ_BYTES, decode_content=True)
            if not part:
                return
            yield part

    @contextmanager
    def _errors(self) -> Iterator[None]:
        # The texts of these errors quote addresses with their query; a token may be in it.
        try:
            yield
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
            if "EOF" in str(error):  # cut off under TLS, which has no type of its own
                raise Passing(self._unreachable(error)) from None
            raise ServerUnreachable(f"{self.url} has no certificate to trust ({type(error).__name__})") from None
        except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
            raise Passing(self._unreachable(error), is_silence=True) from None
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            urllib3.exceptions.HTTPError,
        ) as error:
            raise Passing(self._unreachable(error)) from None
        except requests.exceptions.RequestException as error:
            raise ServerUnreachable(f"{self.url} cannot be asked ({type(error).__name__})") from None

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(f"{self.url} cannot be reached ({type(error).__name__})")


class _Key(AuthBase):
    """Sends our key, or none: never one that .netrc has for the host, as requests would."""

    def __init__(self, key: str | None) -> None:
        if key and not all("!" <= letter <= "~" for letter in key):
            raise ValueError("the API key has characters that a header cannot carry")
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def object_of(response: requests.Response) -> Body:
    """The JSON object in an answer. Raises ApiError for anything else."""
    return parse_object(response.status_code, response.content)


def jitter_s(least_s: float, most_s: float) -> float:
    """A time between the two, so that those who were cut off together do not come back together."""
    return SystemRandom().uniform(least_s, most_s)
