"""An address: where one of our processes listens, as host and port; and the check of other servers' URLs."""

import re
import socket
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_WRITTEN = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")
_LAST_PORT = 65535
_BACKLOG = 2048


@dataclass(frozen=True)
class Address:
    """A host (a name, an IPv4 or an IPv6 address) and a port; 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port` or `[::1]:port`. Raises ValueError with the reason."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError("is not an address like 127.0.0.1:9100")
        if int(match[3]) > _LAST_PORT:
            raise ValueError(f"has a port above {_LAST_PORT}")
        return cls(match[1] or match[2], int(match[3]))

    def __hash__(self) -> int:
        return hash(self.host) ^ self.port  # a Cluster's nodes are looked up by it for each command

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def plus(self, ports: int) -> "Address":
        """The address that many ports further on; any free port stays any. Raises ValueError if there is none."""
        if self.port == 0:
            return self
        if self.port + ports > _LAST_PORT:
            raise ValueError(f"needs ports up to {self.port + ports}, and the last is {_LAST_PORT}")
        return Address(self.host, self.port + ports)

    @property
    def url(self) -> str:
        """The URL under which this machine reaches a web process that listens here."""
        is_any = self.host in {"0.0.0.0", "::", ""}  # noqa: S104 - every address of this machine
        return f"http://{Address('127.0.0.1', self.port) if is_any else self}"

    def listen(self) -> socket.socket:
        """A listening socket; on `::` it takes IPv4, too. Raises OSError when the address is not to be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        takes_both = self.host == "::" and socket.has_dualstack_ipv6()
        at = (self.host, self.port)
        return socket.create_server(at, family=family, backlog=_BACKLOG, dualstack_ipv6=takes_both)


def address_of(listener: socket.socket) -> Address:
    """Where a socket really listens."""
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def is_http_url(url: str) -> bool:
    """Whether a text is the URL of an HTTP server."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is parsed only when asked for
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
