"""The transport: calls to providers over HTTP. The errors of requests end here.

Proxies and certificate bundles come from the usual variables (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE), because many
networks have no other way out; credentials from .netrc do not. Redirects are not followed and cookies not kept.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import requests
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError, ProtocolError

from tokentail.config.settings import Settings
from tokentail.final_response import FinalResponses
from tokentail.jobs.job import FailureKind
from worker.chunk import ProviderFailure, provider_failure
from worker.upstream.address import origin_of
from worker.upstream.connection_fault import CLOSED, connection_fault
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
            self._session.mount(scheme, FinalResponses(pool_maxsize=connections))
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
            raise _send_failure(error, call.url, self._proxy_of(call.url)) from None

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._session.close()

    def _sent(self, prepared: requests.PreparedRequest) -> HttpAnswer:
        # Straight to the adapter: a session would add .netrc and cookies, and read a redirect's body.
        adapter = self._session.get_adapter(str(prepared.url))
        surroundings = self._surroundings(origin_of(str(prepared.url)))
        response = adapter.send(prepared, stream=True, timeout=self._timeouts, **surroundings)
        return HttpAnswer(response.status_code, response.headers, response.raw)

    def _proxy_of(self, url: str) -> str:
        """The address of the proxy that calls to `url` take, if there is one."""
        try:
            proxy = select_proxy(url, self._surroundings(origin_of(url))["proxies"])
            return origin_of(proxy if "://" in proxy else f"http://{proxy}") if proxy else ""
        except (requests.RequestException, ValueError):
            return ""  # the address itself is at fault, which the failure says

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


def _is_reset(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(cause, ProtocolError) and any(isinstance(arg, ConnectionError) for arg in cause.args)


# The messages below are our own: those of the libraries hold addresses, which may hold credentials.


def _send_failure(error: Exception, url: str, proxy: str) -> ProviderFailure:
    kind, is_retryable = FailureKind.UNAVAILABLE, True
    if isinstance(error, ValueError):  # which requests' errors about addresses and headers are, too
        message = "The provider's address or key cannot be put into a request; check the worker's settings."
        return provider_failure(FailureKind.REJECTED, message)
    who = f"The provider at {origin_of(url)}"
    if isinstance(error, requests.ConnectTimeout):
        kind, message = FailureKind.TIMEOUT, f"{who} could not be reached in time."
    elif isinstance(error, requests.Timeout):
        kind, message = FailureKind.TIMEOUT, f"{who} did not begin to answer in time."
    else:
        fault = connection_fault(error)
        is_retryable = fault is None or fault.is_retryable
        if isinstance(error, requests.exceptions.ProxyError):
            who = f"The proxy {proxy} on the way to the provider at {origin_of(url)}"
        elif fault is not None and fault.words == CLOSED and url.startswith("http://"):  # as many a TLS server does
            fault = fault._replace(words=f"{CLOSED}; if it speaks TLS, its address begins with https://")
        message = f"{who} could not be reached" + (f": {fault.words}." if fault else ".")
    return provider_failure(kind, message, is_retryable=is_retryable)
