"""The address of a provider, as messages show it: scheme, host and port, without path, query and credentials. Pure."""

from urllib.parse import urlsplit


def origin_of(url: str) -> str:
    """Scheme, host and port of an address; credentials, which may stand before the host, are left out."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
