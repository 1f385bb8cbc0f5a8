"""What Redis replies about a job, as values. Pure; `scripts.py` uses it.

Redis is shared: a reply may hold what no process of ours wrote. Then decoding raises an error of whatever kind, and
`script.py` makes Unreadable of it.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tokentail.errors import JobGone, JobNotFound, Unreadable
from tokentail.jobs.call_record import parse_call_record
from tokentail.jobs.job import Job, Status
from tokentail.log.batch import Batch
from tokentail.log.element import check_elements, decode
from tokentail.log.pace import Pace, decode_pace

_NUMBER = re.compile(r"[0-9]{1,14}", re.ASCII)
_PACE = re.compile(rb"[0-9.]{1,20} [0-9.]{1,20}", re.ASCII)
_DIGEST = re.compile(r"([0-9a-f]{32})?", re.ASCII)
_GENERATION = re.compile(r"[0-9a-z]{1,16}", re.ASCII)
_SKIMMED_BYTES = 64 << 10
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# The record's fields that a view reads; `status` comes first, and a record that lacks one of the needed is spoilt.
NEEDED = (
    *("status", "owner", "model", "generation", "attempt", "worker"),
    *("attempts", "enqueues", "tokens", "bytes", "base", "created_at", "queued_at"),
)
FIELDS = (
    *NEEDED,
    *("losses", "started_at", "first_token_at", "generation_token_at", "pace", "appended_at", "ended_at", "expires_at"),
    *("shares", "user", "last_worker", "calls"),
    "format",  # is checked by the script, which wants it last
)


def number(text: bytes) -> int:
    """A count or a moment of a record. Raises ValueError."""
    if not _NUMBER.fullmatch(text.decode()):
        raise ValueError("This is not a number of ours.")
    return int(text)


def number_or_none(text: bytes) -> int | None:
    """A count or a moment, or None for an empty field. Raises ValueError."""
    return number(text) if text else None


def _generation(text: bytes) -> str:
    generation = text.decode()
    if not _GENERATION.fullmatch(generation):
        raise ValueError("This is not a name of ours.")
    return generation


def _digest(text: bytes) -> str:
    digest = text.decode()
    if not _DIGEST.fullmatch(digest):
        raise ValueError("This is not a digest of ours.")
    return digest


def _pace(text: bytes) -> Pace | None:
    if text and not _PACE.fullmatch(text):
        raise ValueError("This is not a pace of ours.")
    return decode_pace(text)


def batch_decoder(job_id: str, log: str) -> Callable[[list[Any]], Batch]:
    """The decoder of what `lua/read.lua` returns. It raises JobNotFound, JobGone; Unreadable names the key `log`."""

    def decode_batch(reply: list[Any]) -> Batch:
        if not reply:
            raise JobNotFound(JobNotFound.__doc__)
        if len(reply) == 2:
            raise JobGone(reply[1].decode())
        status, owner, generation, base, first, length, is_reset, tokens, pace, *moments, end, elements = reply
        appended_at_ms, expires_at_ms = map(number_or_none, moments)
        batch = Batch(
            job_id=job_id,
            owner=owner.decode(),
            status=Status(status.decode()),
            generation=_generation(generation),
            base=base,
            first=first,
            elements=tuple(elements),
            length=length,
            is_reset=bool(is_reset),
            token_count=tokens,
            pace=_pace(pace),
            appended_at_ms=appended_at_ms,
            expires_at_ms=expires_at_ms,
            end_element=end or None,
        )
        _check(log, *elements, *([end] if end else []))
        return batch

    return decode_batch


def job_decoder(job_id: str, log: str) -> Callable[[list[Any]], Job]:
    """The decoder of what `lua/view.lua` returns. It raises JobNotFound, JobGone; Unreadable names the key `log`."""

    def decode_job(reply: list[Any]) -> Job:
        if not reply:
            raise JobNotFound(JobNotFound.__doc__)
        values, length, submitted, end = reply
        record = dict(zip(FIELDS, values, strict=True))
        if length == 0:
            raise JobGone(record["owner"].decode())
        # A job has none of these, but the sweep, which views jobs, must find the ones that a read cannot decode.
        number(record["base"]), number_or_none(record["appended_at"]), _pace(record["pace"])
        return Job(
            id=job_id,
            owner=record["owner"].decode(),
            model=record["model"].decode(),
            status=Status(record["status"].decode()),
            created_at_ms=number(record["created_at"]),
            queued_at_ms=number(record["queued_at"]),
            started_at_ms=number_or_none(record["started_at"]),
            first_token_at_ms=number_or_none(record["first_token_at"]),
            generation_token_at_ms=number_or_none(record["generation_token_at"]),
            ended_at_ms=number_or_none(record["ended_at"]),
            expires_at_ms=number_or_none(record["expires_at"]),
            attempts=number(record["attempts"]),
            losses=number_or_none(record["losses"]) or 0,
            enqueues=number(record["enqueues"]),
            attempt=record["attempt"].decode(),
            worker=record["worker"].decode(),
            generation=_generation(record["generation"]),
            token_count=number(record["tokens"]),
            byte_count=number(record["bytes"]),
            submitted=_event(submitted, log, "submitted"),
            end=_event(end, log, "end") if end else None,
            shares=number_or_none(record["shares"]) or 0,
            user_digest=_digest(record["user"]),
            last_worker=record["last_worker"].decode(),
            calls=parse_call_record(record["calls"].decode()),
        )

    return decode_job


def check_request(key: str, request: bytes) -> None:
    """Raises Unreadable unless it is a JSON object. Its fields are checked by the worker: a newer one may know more.

    Of a large one only the ends are looked at: to skim all of it would hold up the event loop.
    """
    try:
        if len(request) <= _SKIMMED_BYTES:
            _read_object(request)
        elif not (request.startswith(b"{") and request.endswith(b"}")):
            raise ValueError("This is not an object.")
    except (ValueError, RecursionError):
        raise Unreadable(key) from None


def _event(element: bytes, log: str, kind: str) -> dict[str, Any]:
    _check(log, element)
    event = decode(element)
    if not isinstance(event, dict) or event.get("type") != kind:
        raise Unreadable(log)
    return event


def _check(log: str, *elements: bytes) -> None:
    try:
        check_elements(elements)
    except (ValueError, RecursionError):
        raise Unreadable(log) from None
