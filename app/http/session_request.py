"""The session request: whose jobs a session is to open, and for how long. Pure."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from tokentail.jobs.body import parse_body, prepared
from tokentail.jobs.user import UserName

_SHORTEST_S = 60
LONGEST_S = 7 * 24 * 3600


@prepared
class SessionRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The one user whose jobs the session opens, where it is not to open all of the key; and its life in seconds."""

    user: UserName | UnsetType = UNSET
    expires_in_s: Annotated[int, msgspec.Meta(ge=_SHORTEST_S, le=LONGEST_S)] = LONGEST_S


def parse_session(body: bytes) -> SessionRequest:
    """The request in a body, which may be empty. Raises MalformedBody, InvalidRequest."""
    return parse_body(body, SessionRequest) if body else SessionRequest()
