"""The final response of a call, whatever interim ones come before it (RFC 9110, 15.2).

http.client knows one interim response, 100. It takes 103 (Early Hints) or 102 for the final one, and the connection for
free again: the final response would then be read by the next call, which may be another job's.

Each response has a small buffer: a worker has hundreds of them open, and in each of them seldom more than one token.
"""

import http.client
import io
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

BUFFER_BYTES = 2048  # io's own are four times as large
_MOST_INTERIM = 100
_NO_BODY = 204


class _FinalResponse(http.client.HTTPResponse):
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.fp: Any = io.BufferedReader(self.fp.detach(), BUFFER_BYTES)

    def begin(self) -> None:
        super().begin()
        for _ in range(_MOST_INTERIM):
            if not 101 < self.status < 200:  # 101 is final
                break
            self._forget_head()
            super().begin()
        # Whatever a server sends behind such a head belongs to no other call.
        self.will_close = self.will_close or self.status < 200 or self.status == _NO_BODY

    def _forget_head(self) -> None:
        no_head: Any = None
        self.headers = self.msg = no_head


class _Connection(HTTPConnection):
    response_class = _FinalResponse


class _TlsConnection(HTTPSConnection):
    response_class = _FinalResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class FinalResponses(HTTPAdapter):
    """Sends requests as its base class does, and gives the final responses to them."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _use(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not str(proxy).lower().startswith("socks"):  # whose connections are their own
            _use(manager)
        return manager


def _use(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
