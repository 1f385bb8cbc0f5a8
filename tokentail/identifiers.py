"""Random names: of jobs, attempts and generations. None can be guessed; none carries meaning. A worker's name is random
only at its end, and begins with its host.
"""

import os
import re
import secrets
import socket

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # 32 letters, 5 bits each; no i, l, o, u to be misread
_LETTERS = frozenset(_ALPHABET)
_OWNER = re.compile(r"[A-Za-z0-9._-]{0,64}")
_LONGEST_WORKER = 1000  # bytes


def _random_name(letters: int) -> str:
    return "".join([_ALPHABET[byte % 32] for byte in secrets.token_bytes(letters)])  # 256 is a multiple of 32


def new_job_id() -> str:
    """A job's name and, without API keys, its only secret: 130 random bits."""
    return _random_name(26)


def new_attempt() -> str:
    """A fence token: 80 random bits, never used twice."""
    return _random_name(16)


def new_generation() -> str:
    """A generation's name, unique in its job: 40 random bits."""
    return _random_name(8)


def new_worker_name() -> str:
    """The name of this process as a worker: its host's name, its process id, and random letters."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def host_of_worker(name: str) -> str | None:
    """The host in a worker's name, which may have dashes itself; None if `new_worker_name` gives no such name."""
    found = re.fullmatch(r"(.+)-[0-9]+-[0-9a-f]{6}", name, re.ASCII | re.DOTALL)
    return found[1] if found else None


def is_job_id(text: str) -> bool:
    """Whether `text` could have come from `new_job_id`; guards Redis keys against foreign characters."""
    return len(text) == 26 and _LETTERS.issuperset(text)


def job_id_in(member: bytes) -> str | None:
    """The member of an index as a job id; None if it cannot be one."""
    text = member.decode("ascii", "replace")
    return text if is_job_id(text) else None


def owner_in(member: bytes) -> str | None:
    """The owner that a member of an index names; None if it cannot name one. Without API keys the owner is ""."""
    text = member.decode("ascii", "replace")
    return text if _OWNER.fullmatch(text) else None


def worker_in(field: bytes) -> str | None:
    """The worker that a lease is written under; None if no worker can be named so. A host may have any name."""
    try:
        return field.decode() if 0 < len(field) <= _LONGEST_WORKER else None
    except UnicodeDecodeError:
        return None
