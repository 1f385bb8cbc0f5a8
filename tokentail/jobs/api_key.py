"""The API key: its name, which is the owner of its jobs, and what it may do. Values only; nothing here does I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a key is for."""

    CLIENT = "client"  # submits jobs, and reads its own
    OPERATOR = "operator"  # reads every job's record without its content, and stops jobs; it submits none

    @property
    def meaning(self) -> str:
        """What the role may do, for the client that is refused something else."""
        return _MEANINGS[self]


_MEANINGS = {
    Role.CLIENT: "submits jobs and reads its own",
    Role.OPERATOR: "reads the records of all jobs and stops jobs, and opens no content",
}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One named key. The key itself is known nowhere: only SHA-256 digests of it are."""

    owner: str
    role: Role = Role.CLIENT
