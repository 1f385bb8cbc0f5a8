"""The call record: what a job's calls to its provider were like so far. It is part of the job's record; pure."""

import msgspec

_MOST_BYTES = 2000  # of a text that is decoded


class CallRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operator wants to know of a job's calls. It holds no key and no content."""

    provider: str = ""
    address: str = ""  # scheme, host and port of the provider
    calls: int = 0  # by all attempts together, so that retries are what exceeds 1
    error: str = ""  # the type and HTTP status of the last call that failed, without the provider's words

    def encoded(self) -> str:
        """The text in the record."""
        return msgspec.json.encode(self).decode()


NO_CALLS = CallRecord()
_decode = msgspec.json.Decoder(CallRecord).decode


def parse_call_record(text: str) -> CallRecord:
    """The call record with this text; NO_CALLS for a text that was not made here."""
    if not text or len(text) > _MOST_BYTES:
        return NO_CALLS
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return NO_CALLS
