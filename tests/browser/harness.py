"""The server for a browser: a web process that can be stopped and restarted, with or without nginx in front."""

import signal
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.free_ports import free_ports
from tests.integration.web_process import WebProcess
from tests.nginx_server import NginxServer


class BrowserHarness:
    """A web process on a fixed port, and its address for browsers."""

    def __init__(self, redis_url: str, *, with_nginx: bool, with_tls: bool = False, **environment: str) -> None:
        (port,) = free_ports(1)
        # The scripted worker's heart beats once; a long lease keeps its jobs with it.
        self._environment = {"TOKENTAIL_PORT": str(port), "TOKENTAIL_LEASE_S": "600", **environment}
        self._redis_url = redis_url
        self._port = port
        self._with_nginx = with_nginx
        self._with_tls = with_tls
        self._front = ExitStack()
        self.web = self._new_web()
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self.web.__enter__()
        if self._with_nginx:
            nginx = self._front.enter_context(NginxServer(self._port, self._port, with_tls=self._with_tls))
            self.url = f"http://127.0.0.1:{nginx.port}"
            if self._with_tls:
                self.url = f"https://localhost:{nginx.tls_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._front.close()
        self.web.__exit__(None, None, None)

    def end(self, number: signal.Signals) -> None:
        """Stop the web process; connections are refused until the next `begin`."""
        self.web.signal(number)
        self.web.wait(10)
        self.web.__exit__(None, None, None)

    def begin(self) -> None:
        """Start another web process at the same address, if the last one was stopped."""
        if self.web.exit_code is None:
            return
        self.web = self._new_web()
        self.web.__enter__()

    def _new_web(self) -> WebProcess:
        return WebProcess(self._redis_url, **self._environment)
