"""Calls that count open jobs in and out, with what their owners submitted and spent. Pure, as `scripts.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokentail.identifiers import job_id_in
from tokentail.jobs.api_key import KeyLimits
from tokentail.jobs.spending import Spent
from tokentail.redis.keys import admitted_jobs, held_jobs, minute_of, open_keys, usage_of_day
from tokentail.redis.round_trip import Outcome, RoundTrip
from tokentail.redis.script import Command, Script

_enter, _admit, _adopt, _reindex = (Script(name, ("users",)) for name in ("enter", "admit", "adopt", "reindex"))

_PLACE = 1e13  # of a turn's score: `lua/users.lua`


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of a job that was to be counted, and how its owner stands."""

    verdict: str  # admitted or held; full, client or user for too many jobs; requests or tokens for a reached limit
    admitted: int  # the owner's, or for the verdict user the user's, jobs in the queue or running, without this one
    requests: int  # in the last minute, where they are limited
    first_ms: int  # of these
    last_ms: int
    tokens: int  # of this day


def enter(
    owner: str,
    job_id: str,
    now_ms: int,
    most: int,
    most_of_owner: int,
    share: int,
    slots: int,
    limits: KeyLimits,
    day: str,
    usage_kept_ms: int,
    user: str,
    most_of_user: int | None,
) -> Command[Entered]:
    """Count the job among the open ones, unless there are too many or a limit of the owner is reached.

    `user` is the digest of the user whose job it is.
    """
    bounds = (limits.requests_per_minute, limits.tokens_per_day, most_of_user)
    per_minute, per_day, of_user = ("" if n is None else n for n in bounds)
    keys = (*open_keys(owner), minute_of(owner), usage_of_day(day))
    about = (owner, job_id, now_ms, most, most_of_owner, share, slots)
    args = (*about, per_minute, per_day, usage_kept_ms, user, of_user)

    def decode_entered(reply: list[Any]) -> Entered:
        verdict, admitted, requests, first, last, tokens = reply
        return Entered(verdict.decode(), admitted, requests, int(float(first)), int(float(last)), tokens)

    return Command(_enter, keys, args, decode_entered)


def admit(
    owner: str, share: int, slots: int, now_ms: int, ended: Mapping[str, Spent], day: str, usage_kept_ms: int
) -> Command[list[str]]:
    """Take `ended` out of the count, with what each job spent; the jobs of the owner that may enter the queue now."""
    flat = [
        part
        for job_id, spent in ended.items()
        for part in (job_id, spent.status, spent.input_tokens, spent.output_tokens, spent.estimated_tokens)
    ]
    return Command(
        _admit,
        (*open_keys(owner), usage_of_day(day)),
        (owner, share, slots, usage_kept_ms, now_ms, *flat),
        lambda reply: [job_id for member in reply if (job_id := job_id_in(member))],
    )


def adopt(owner: str, job_id: str, created_at_ms: int, user: str, *, is_admitted: bool) -> Command[bool]:
    """Count an open job of a user (a digest) that an index has lost; whether it was counted nowhere."""
    return Command(_adopt, open_keys(owner), (owner, job_id, created_at_ms, int(is_admitted), user), bool)


def counted_in(trip: RoundTrip, owner: str, job_id: str) -> tuple[Outcome[int], Outcome[float | None]]:
    """Have the trip find out whether the job is admitted, and whether it is held out: since when, or None."""
    admitted = trip.add("SISMEMBER", admitted_jobs(owner), job_id)
    return admitted, trip.add("ZSCORE", held_jobs(owner), job_id)


def users_and_turns(
    entries: Sequence[bytes], turns: Sequence[tuple[bytes, float]]
) -> tuple[dict[str, str], dict[str, float]]:
    """The user of each job, by the entries `job:…` of an owner's index, and since when (Unix ms) each user waits."""
    parts = (entry.decode("ascii", "replace").split(":") for entry in entries)
    users = {part[1]: part[2] for part in parts if len(part) == 3}
    return users, {turn.decode("ascii", "replace").removeprefix("user:"): score % _PLACE for turn, score in turns}


def reindex(owner: str, users: Mapping[str, str]) -> Command[bool]:
    """Make the index of an owner's users anew. `users` has the user's digest of each job of which it is known."""
    return Command(_reindex, open_keys(owner), tuple(part for pair in users.items() for part in pair), bool)
