"""The share request: what a client may ask of a link to a job. Pure."""

from typing import Annotated

import msgspec

from tokentail.jobs.body import parse_body, prepared

_SHORTEST_S = 60
_LONGEST_S = 7 * 24 * 3600


@prepared
class ShareRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long a link may be used, in seconds."""

    expires_in_s: Annotated[int, msgspec.Meta(ge=_SHORTEST_S, le=_LONGEST_S)] = _LONGEST_S


def parse_share(body: bytes) -> ShareRequest:
    """The request in a body, which may be empty. Raises MalformedBody, InvalidRequest."""
    return parse_body(body, ShareRequest) if body else ShareRequest()
