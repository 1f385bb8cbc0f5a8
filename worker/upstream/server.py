"""One provider's server: its address, and what every call to it carries. Pure."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

import tokentail
from tokentail.config.endpoints import Additions
from worker.upstream.provider import HttpCall


class Server:
    """Where calls go. A query of the base address stands behind the path of each call, beside that of the deployment's
    own parameters; the deployment's own headers replace ours of the same name."""

    def __init__(self, base_url: str, headers: Mapping[str, str], additions: Additions) -> None:
        parts = urlsplit(base_url)
        self.base_url = urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")).rstrip("/")
        self._query = [text for text in (parts.query, urlencode(additions.query)) if text]
        self._headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # a compressor would hold tokens back
            "User-Agent": f"tokentail/{tokentail.__version__}",
            **headers,
        }
        own = {name.lower() for name in additions.headers}
        self._headers = {name: value for name, value in self._headers.items() if name.lower() not in own}
        self._headers.update(additions.headers)
        self._secrets = additions.secrets

    def call(
        self, path: str, body: bytes = b"", *, query: str = "", method: str = "POST", accept: str = ""
    ) -> HttpCall:
        """A call of a path below the base address. `accept` names what it expects in place of a stream."""
        behind = "&".join([*([query] if query else []), *self._query])
        headers = {**self._headers, **({"Accept": accept} if accept else {})}
        if body:
            headers["Content-Type"] = "application/json"
        return HttpCall(self.base_url + path + (f"?{behind}" if behind else ""), headers, body, method, self._secrets)
