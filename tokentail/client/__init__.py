"""The Python client: submit a prompt and follow its tokens, whatever happens to the connection.

The client uses the HTTP interface of docs/protocol.md and never Redis. Errors of requests stop in `connection.py`.
docs/python.md shows how to use it.
"""

from tokentail.client.client import Client
from tokentail.client.responses import (
    ApiError,
    JobNotCompleted,
    Models,
    RemoteJob,
    ServerUnreachable,
    ShareLink,
    Transport,
    Update,
)
from tokentail.client.transport_health import Choice

__all__ = [
    "Client",
    "Choice",
    "Transport",
    "Update",
    "RemoteJob",
    "Models",
    "ShareLink",
    "ApiError",
    "JobNotCompleted",
    "ServerUnreachable",
]
