"""The transport: calls to providers over HTTP. The worker's only file that imports requests, whose errors end here.

Proxies and certificate bundles come from the usual variables (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE), because many
networks have no other way out; credentials from .netrc do not. Redirects are not followed and cookies not kept.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ProtocolError

from tokentail.config.settings import Settings
from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.upstream.http_answer import HttpAnswer
from worker.upstream.provider import HttpCall

_MOST_ORIGINS = 64  # whose surroundings are kept; a deployment has a handful of base URLs


class HttpTransport:
    """One pool of connections, for all jobs of the process."""

    def __init__(self, *, connections: int, connect_timeout_s: float, read_timeout_s: float | None) -> None:
        """`connections` are kept for use again; there is no limit to how many are open at once.

        `read_timeout_s` is the longest silence, for callers that have no deadlines of their own.
        """
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        self._timeouts: Any = (connect_timeout_s, read_timeout_s)
        self._surroundings = lru_cache(_MOST_ORIGINS)(self._read_surroundings)

    def send(self, call: HttpCall) -> HttpAnswer:
        """Send the call; return as soon as status and headers are there.

        A connection that is lost before the first byte of an answer is tried anew, once and at once: an idle
        connection of the pool may have died unseen. Raises ProviderFailure: timeout, unavailable, rejected.
        """
        try:
            prepared = requests.Request(call.method, call.url, headers=dict(call.headers), data=call.body).prepare()
            try:
                return self._sent(prepared)
            except requests.ConnectionError as error:
                if not _is_reset(error):
                    raise
                return self._sent(prepared)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _send_failure(error) from None

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._session.close()

    def _sent(self, prepared: requests.PreparedRequest) -> HttpAnswer:
        # Straight to the adapter: a session would add .netrc and cookies, and read a redirect's body.
        adapter = self._session.get_adapter(str(prepared.url))
        surroundings = self._surroundings(_origin(str(prepared.url)))
        response = adapter.send(prepared, stream=True, timeout=self._timeouts, **surroundings)
        return HttpAnswer(response.status_code, response.headers, response.raw)

    def _read_surroundings(self, origin: str) -> Mapping[str, Any]:
        """Proxies and certificate bundle for an origin. Read once: finding them costs more than a token does.

        They depend on nothing behind the host and port; paths hold the names of models, which clients choose.
        """
        found = self._session.merge_environment_settings(origin, {}, True, None, None)
        return {name: found[name] for name in ("proxies", "verify", "cert")}


def open_transport(settings: Settings) -> HttpTransport:
    """The transport of this process."""
    return HttpTransport(
        connections=settings.worker_concurrency,
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=None,  # the attempt's own deadlines reach every wait; one here would cost each read a timer
    )


def _origin(url: str) -> str:
    """Scheme, host and port of an address, without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _is_reset(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(cause, ProtocolError) and any(isinstance(arg, ConnectionError) for arg in cause.args)


# The messages below are our own: those of the libraries hold addresses, which may hold credentials.


def _send_failure(error: Exception) -> ProviderFailure:
    kind, is_retryable = FailureKind.UNAVAILABLE, True
    if isinstance(error, requests.ConnectTimeout):
        kind, message = FailureKind.TIMEOUT, "The provider could not be reached in time."
    elif isinstance(error, requests.Timeout):
        kind, message = FailureKind.TIMEOUT, "The provider did not begin to answer in time."
    elif isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        is_retryable, message = False, "The provider's certificate is not trusted."
    elif isinstance(error, requests.exceptions.ProxyError):
        message = "The proxy on the way to the provider could not be used."
    elif isinstance(error, requests.ConnectionError) and _is_reset(error):
        message = "The provider closed the connection before it answered."
    elif isinstance(error, ValueError):  # which requests' errors about addresses and headers are, too
        kind, is_retryable = FailureKind.REJECTED, False
        message = "The provider's address or key cannot be put into a request; check the worker's settings."
    else:
        message = "The provider could not be reached."
    return provider_failure(kind, message, is_retryable=is_retryable)
