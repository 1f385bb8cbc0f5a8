"""The proxies for which deploy/ has a configuration: the real programs, in front of ports of loopback.

Each file is used as it is; only where it listens, whom it asks and where it logs are put in their places. For nginx
there is `nginx_server.py`, whose tests need more of it.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.free_ports import free_ports
from tests.integration.web_process import Site
from tests.programs import CADDY, HAPROXY, LIGHTTPD, TRAEFIK, VARNISH, Program
from tests.waiting import eventually

DEPLOY = Path(__file__).parents[1] / "deploy"

_FIRST, _SECOND = "8000", "8001"  # the ports of the two web processes in each file


@dataclass(frozen=True)
class Proxy:
    """One program with its file. In `places`, each text of the file has what stands for it in a test."""

    program: Program
    file: str
    options: Callable[[Path, int], tuple[str, ...]]  # by the folder, in which its file is, and the port
    places: Mapping[str, str] = field(default_factory=dict)
    before: str = ""  # put before the file's text


PROXIES = {
    "haproxy": Proxy(
        HAPROXY,
        "haproxy.cfg",
        lambda folder, _port: ("-db", "-f", str(folder / "haproxy.cfg")),
        {"bind :80\n": "bind 127.0.0.1:{port}\n"},
    ),
    "caddy": Proxy(
        CADDY,
        "Caddyfile",
        lambda folder, _port: ("run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")),
        {"\n:80 {": "\n:{port} {"},
        before="{\n\tadmin off\n}\n",
    ),
    "traefik": Proxy(
        TRAEFIK,
        "traefik.yml",
        lambda folder, port: (
            *(f"--entrypoints.web.address=127.0.0.1:{port}", f"--providers.file.filename={folder / 'traefik.yml'}"),
            *("--global.checknewversion=false", "--global.sendanonymoususage=false"),
        ),
    ),
    "lighttpd": Proxy(
        LIGHTTPD,
        "lighttpd.conf",
        lambda folder, _port: ("-D", "-f", str(folder / "lighttpd.conf")),
        {
            "server.port          = 80\n": 'server.port = {port}\nserver.bind = "127.0.0.1"\n',
            "/var/www/html": "{folder}",
            "/var/log/lighttpd": "{folder}",
        },
    ),
    "varnish": Proxy(
        VARNISH,
        "varnish.vcl",
        lambda folder, port: (
            *("-F", "-j", "none", "-n", str(folder / "varnish"), "-s", "malloc,32m"),
            *("-a", f"127.0.0.1:{port}", "-f", str(folder / "varnish.vcl")),
        ),
    ),
}


class ProxyServer(Site):
    """One of them, its files in a folder of its own."""

    def __init__(self, proxy: Proxy, *upstream_ports: int) -> None:
        self._proxy = proxy
        self._program = proxy.program.require()
        self._folder = Path(tempfile.mkdtemp(prefix="tt-proxy-", dir="/tmp"))
        self._ports = upstream_ports
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self.port,) = free_ports(1)
        (self._folder / self._proxy.file).write_text(self._placed())
        with self._said.open("wb") as said:
            self._child = subprocess.Popen(
                [self._program, *self._proxy.options(self._folder, self.port)],
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        eventually(self._is_up, within_s=30, what="it passes requests on")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child is not None
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()  # connections that are still open would keep it
            self._child.wait(5)
        shutil.rmtree(self._folder)

    @property
    def _said(self) -> Path:
        return self._folder / "said"

    def _is_up(self) -> bool:
        assert self._child is not None
        if self._child.poll() is not None:
            raise RuntimeError(self._said.read_text())
        try:
            return self.ask("GET", "/healthz").status == 200
        except (OSError, HTTPException):
            return False

    def _placed(self) -> str:
        text = (DEPLOY / self._proxy.file).read_text()
        for old, new in self._proxy.places.items():
            assert old in text, f"{self._proxy.file} has parted from its test: {old}"
            text = text.replace(old, new.replace("{port}", str(self.port)).replace("{folder}", str(self._folder)))
        for old, port in zip((_FIRST, _SECOND), self._ports, strict=True):
            text, count = re.subn(rf"\b{old}\b", str(port), text)
            assert count == 1, f"{self._proxy.file} names {old} {count} times"
        return self._proxy.before + text
