"""The Python client: submit a prompt and follow its tokens, over whatever happens to the connection.

It speaks HTTP as docs/protocol.md has it and knows nothing of Redis. Errors of requests stop in `connection.py`.
docs/python.md shows how it is used.
"""

from tokentail.client.answers import (
    ApiError,
    JobNotCompleted,
    Models,
    RemoteJob,
    ServerUnreachable,
    ShareLink,
    Transport,
    Update,
)
from tokentail.client.client import Client
from tokentail.client.route import Choice

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
