"""A probe: one GET to a child of ours on this machine. No answer is an answer, too."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_S = 2.0


def probe(url: str) -> dict[str, Any] | None:
    """The JSON object that a GET gives under status 200; None for everything else."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        body = json.loads(response.read()) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return body if isinstance(body, dict) else None
