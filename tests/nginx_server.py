"""A real nginx with our own deploy/nginx.conf, in front of whatever listens on some ports of loopback.

The file is used as it is; only where it listens, whom it asks and where it logs are put in their places.
"""

import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from os import geteuid
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.free_ports import free_ports
from tests.integration.web_process import Site
from tests.programs import NGINX, OPENSSL
from tests.waiting import eventually

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx.conf"

_UPSTREAMS = "    server 127.0.0.1:8000 max_fails=0;\n"
_LISTEN = "listen 80;"
_LISTEN_TLS = "listen 443 ssl http2;"
_CERTIFICATE = "/etc/letsencrypt/live/example.org"
_LOGS = "/var/log/nginx"
_SWITCHED_OFF = re.compile(r"^( *)#(?=\S)", re.MULTILINE)

_AROUND = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/main.log notice;
{user}
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/tokentail.conf;
}}
"""


class NginxServer(Site):
    """One nginx with two workers, its files in a folder of its own."""

    def __init__(self, *upstream_ports: int, with_tls: bool = False) -> None:
        self._program = NGINX.require()
        self._folder = Path(tempfile.mkdtemp(prefix="tt-nginx-", dir="/tmp"))
        self._with_tls = with_tls
        self._ports = upstream_ports
        self._child: subprocess.Popen[bytes] | None = None
        self.tls_port = 0

    def __enter__(self) -> Self:
        self.port, self.tls_port = free_ports(2)
        self._write_configuration()
        with (self._folder / "said").open("wb") as said:
            self._child = subprocess.Popen(
                [self._program, "-p", str(self._folder), "-e", str(self._main_log), "-c", str(self._folder / "main")],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        eventually(self._is_up, within_s=20, what="nginx listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child is not None
        self._child.terminate()
        self._child.wait(10)
        shutil.rmtree(self._folder)

    @property
    def access_log(self) -> str:
        return (self._folder / "tokentail.log").read_text()

    @property
    def everything_written(self) -> str:
        """All that is in any of its files, but for its configuration."""
        files = [f for f in self._folder.rglob("*") if f.is_file() and f.suffix not in {".conf", ".pem"}]
        return "\n".join(f.read_text(errors="replace") for f in files)

    def temporary_files(self) -> list[str]:
        """Files that its workers hold open and that have no name any more; Linux only."""
        assert self._child is not None
        pids = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
        held = []
        for pid in pids:
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    held.append(fd.readlink())
        return [str(path) for path in held if str(path).endswith("(deleted)") and str(self._folder) in str(path)]

    def reload(self) -> None:
        """Have it read its configuration again; returns when new workers serve and the old ones take nothing new."""
        assert self._child is not None
        before = self._main_log.read_text().count("gracefully shutting down")
        self._child.send_signal(signal.SIGHUP)
        eventually(
            lambda: self._main_log.read_text().count("gracefully shutting down") >= before + 2,
            within_s=10,
            what="the old workers go",
        )

    @property
    def _main_log(self) -> Path:
        return self._folder / "main.log"

    def _is_up(self) -> bool:
        assert self._child is not None
        if self._child.poll() is not None:
            raise RuntimeError((self._folder / "said").read_text() + self._main_log.read_text())
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _write_configuration(self) -> None:
        text = placed(CONFIGURATION.read_text(), _UPSTREAMS * 2, _upstream_lines(self._ports))
        if self._with_tls:
            text = _SWITCHED_OFF.sub(r"\1", text)
            text = placed(text, _LISTEN_TLS, f"listen 127.0.0.1:{self.tls_port} ssl http2;")
            text = placed(text, _CERTIFICATE, str(self._folder))
            self._make_certificate()
        text = placed(text, _LISTEN, f"listen 127.0.0.1:{self.port};")
        text = placed(text, _LOGS, str(self._folder))
        (self._folder / "tokentail.conf").write_text(text)
        # By default nginx' workers run as the user nobody, which may not read our folder.
        user = "user root;" if geteuid() == 0 else ""
        (self._folder / "main").write_text(_AROUND.format(folder=self._folder, user=user))

    def _make_certificate(self) -> None:
        subprocess.run(
            [
                *(OPENSSL.require(), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", str(self._folder / "privkey.pem"), "-out", str(self._folder / "fullchain.pem")),
            ],
            check=True,
            capture_output=True,
        )

    @property
    def certificate(self) -> Path:
        """What a client has to trust, when it serves TLS."""
        return self._folder / "fullchain.pem"


def placed(text: str, old: str, new: str) -> str:
    """The text with `old` replaced; it has to be there, or the file and this test have parted."""
    assert old in text, old
    return text.replace(old, new)


def _upstream_lines(ports: Sequence[int]) -> str:
    return "".join(_UPSTREAMS.replace("8000", str(port)) for port in ports)
