"""A webhook: the message that tells the deployment's own receivers of a job's end. Values only; nothing here does I/O.

That it is due stands in the job's record, in the field `webhook`, from the very step that ends the job until every
receiver has it or the last try has failed: `<kind> <tries> <receivers that have it>`, such as `completed 2 3f9a01bc`.
The same field tells how often it was tried, so no crash loses one and none is tried for ever.
"""

import hashlib
import json
import re
from dataclasses import dataclass, replace

from tokentail.identifiers import owner_in

# Pauses between one try and the next: ten tries in 15 h 42 min.
PAUSES_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
# How long a record is kept for its webhook: all the tries, and a day in which no worker may have been alive.
KEPT_MS = (sum(PAUSES_S) + 86400) * 1000

_NOTED = re.compile(r"(completed|failed|cancelled|incomplete) ([0-9]{1,2})((?: [0-9a-f]{8}){0,50})", re.ASCII)


@dataclass(frozen=True)
class Webhook:
    """The webhook of one ended job, as far as it has come."""

    job_id: str
    kind: str  # completed, failed, cancelled or incomplete
    ended_at_ms: int
    tries: int = 0
    has_it: frozenset[str] = frozenset()  # the receivers that took it, each as `receiver_id` names it
    owner: str = ""  # of the job; "" where no keys are set

    @property
    def id(self) -> str:
        """The `webhook-id`: the same at each try, so that a receiver can tell a repeat."""
        return f"evt_{self.job_id}"

    @property
    def type(self) -> str:
        """What happened, in OpenAI's words."""
        return f"response.{self.kind}"

    @property
    def noted(self) -> str:
        """What the record says."""
        return " ".join((self.kind, str(self.tries), *sorted(self.has_it)))

    def body(self) -> bytes:
        """The body, byte for byte the same at each try. It holds nothing of the prompt or the answer."""
        owner = {"owner": self.owner} if self.owner else {}
        message = {
            "id": self.id,
            "object": "event",
            "created_at": self.ended_at_ms // 1000,
            "type": self.type,
            "data": {"id": f"resp_{self.job_id}", **owner},
        }
        return json.dumps(message, separators=(",", ":")).encode()

    def tried(self, took_it: frozenset[str]) -> "Webhook":
        """The webhook after one more try, in which these receivers took it."""
        return replace(self, tries=self.tries + 1, has_it=self.has_it | took_it)

    @property
    def pause_s(self) -> float | None:
        """How long to wait until the next try; None after the last one."""
        return PAUSES_S[self.tries - 1] if self.tries <= len(PAUSES_S) else None


def webhook_of(job_id: str, noted: bytes, ended_at: bytes | None, owner: bytes = b"") -> Webhook | None:
    """The webhook that a record tells of; None if no process of ours wrote what it says."""
    found = _NOTED.fullmatch(noted[:1000].decode("ascii", "replace"))
    if found is None or ended_at is None or not re.fullmatch(rb"[0-9]{1,14}", ended_at):
        return None
    return Webhook(job_id, found[1], int(ended_at), int(found[2]), frozenset(found[3].split()), owner_in(owner) or "")


def receiver_id(url: str) -> str:
    """A short name of a receiver's address, which may itself be a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:8]
